package handlers

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// ownerParam filters a list by owner. It is meant to be embedded.
type ownerParam struct {
	Owner string `json:"owner" doc:"Only the objects of this user; others than one's own are for superusers" validate:"max=64"`
}

// idParam filters a list by a part of the id. It is meant to be embedded.
type idParam struct {
	TransferID string `json:"transferId" doc:"Only the transfer of this id, or those whose ids begin or end with it" validate:"omitempty,min=4,max=64"`
}

// pageOf returns the page of a list that the caller may see: a superuser may
// list the objects of any user, everybody else only their own.
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

// nextPage is the member of a list's result that holds the cursor of the next
// page. It is meant to be embedded.
type nextPage struct {
	NextCursor *string `json:"nextCursor" doc:"Cursor of the next page; null on the last"`
}

// pageAt returns the cursor of the page that begins at position n, none for 0.
func pageAt(n int64) nextPage {
	if n == 0 {
		return nextPage{}
	}
	return pageAfter(strconv.FormatInt(n, 10))
}

// pageAfter returns the cursor of the page that begins after a name, none for
// "".
func pageAfter(name string) nextPage {
	if name == "" {
		return nextPage{}
	}
	cursor := base64.RawURLEncoding.EncodeToString([]byte(name))
	return nextPage{&cursor}
}

// parseNameCursor reads a cursor that pageAfter has made; an empty one gives
// "".
func parseNameCursor(s string) (string, error) {
	name, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return "", badCursor(err)
	}
	return string(name), nil
}

// parseCursor reads a cursor that pageAt has made; an empty one gives 0.
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

// listed makes sure that an empty list is encoded as [], not null.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func badCursor(cause error) error {
	e := api.InvalidField("cursor", "cursor", "cursor is not the nextCursor of a page of this list; start again without it")
	e.Err = cause
	return e
}
