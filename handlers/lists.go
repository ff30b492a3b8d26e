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

// cursor writes where the next page begins: opaque to callers, for us the
// number of its order.
func cursor(n int64) *string {
	s := base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, n, 10))
	return &s
}

// parseCursor reads what cursor wrote; empty is 0, the first page.
func parseCursor(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		var n int64
		if n, err = strconv.ParseInt(string(b), 10, 64); err == nil && n > 0 {
			return n, nil
		}
	}
	return 0, badCursor(err)
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

// mayAct answers notFound, as for an object that does not exist, unless the
// caller owns it or is a superuser.
func mayAct(ctx context.Context, owner, what, id string) error {
	if caller, ok := api.CallerOf(ctx); ok && caller.MayAct(owner) {
		return nil
	}
	return api.Errorf(api.CodeNotFound, "there is no %s %q", what, id)
}
