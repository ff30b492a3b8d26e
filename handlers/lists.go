package handlers

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// ownerParam filters a list by owner; embed it.
type ownerParam struct {
	Owner string `json:"owner" doc:"Only the objects of this user; others than one's own are for superusers" validate:"max=64"`
}

// pageOf makes the page of a list that the caller may see: of everybody for a
// superuser, else of their own.
func pageOf(ctx context.Context, l api.ListParams, owner string, status transfer.Status) (transfer.Page, error) {
	caller, _ := api.CallerOf(ctx)
	if !caller.Superuser {
		if caller.User == "" || owner != "" && !strings.EqualFold(owner, caller.User) {
			return transfer.Page{}, api.Errorf(api.CodeForbidden, "only a superuser may list what belongs to others: leave owner out")
		}
		owner = caller.User
	}
	before, err := parseCursor(l.Cursor)
	return transfer.Page{Owner: owner, Status: status, Before: before, Limit: l.Limit}, err
}

// nextPage is the part of a list's result that leads to the next page; embed it.
type nextPage struct {
	NextCursor *string `json:"nextCursor" doc:"Cursor of the next page; null on the last"`
}

// pageAt leads to the page that goes on from position n; 0: there is none.
func pageAt(n int64) nextPage {
	if n == 0 {
		return nextPage{}
	}
	return pageAfter(strconv.FormatInt(n, 10))
}

// pageAfter leads to the page that goes on after a name; "": there is none.
func pageAfter(name string) nextPage {
	if name == "" {
		return nextPage{}
	}
	cursor := base64.RawURLEncoding.EncodeToString([]byte(name))
	return nextPage{&cursor}
}

// parseNameCursor reads a cursor of pageAfter; the empty one is "".
func parseNameCursor(s string) (string, error) {
	name, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return "", badCursor(err)
	}
	return string(name), nil
}

// parseCursor reads a cursor of pageAt; the empty one is 0.
func parseCursor(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	text, err := parseNameCursor(s)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, badCursor(err)
	}
	return n, nil
}

// listed is a list as replies show it: an empty one is [], not null.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func badCursor(cause error) error {
	e := api.Wrap(cause, api.CodeInvalid, "cursor is not the nextCursor of a page of this list; start again without it")
	e.Fields = []api.FieldError{{Field: "cursor", Rule: "cursor", Message: e.Message}}
	return e
}
