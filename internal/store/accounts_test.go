package store

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

func TestUpdateUserChangesAllOrNothing(t *testing.T) {
	a, ctx := openTest(t).Accounts(), t.Context()
	made := account.User{Name: "Bob", Hash: "h", Sandbox: "/srv", CreateTime: 7}
	if err := a.InsertUser(ctx, made); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	if _, err := a.UpdateUser(ctx, "bob", func(u *account.User) error { u.Hash = "other"; return boom }); !errors.Is(err, boom) {
		t.Errorf("a failing change: %v", err)
	}
	if u, err := a.User(ctx, "BOB"); err != nil || u != made {
		t.Errorf("after a failed change: %+v, %v", u, err)
	}
	got, err := a.UpdateUser(ctx, "BOB", func(u *account.User) error {
		u.Name, u.CreateTime, u.Disabled, u.Superuser, u.Sandbox, u.Hash = "eve", 9, true, true, "", "new"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := account.User{Name: "Bob", Superuser: true, Disabled: true, Hash: "new", CreateTime: 7}
	stored, err := a.User(ctx, "bob")
	if diff := cmp.Diff([]account.User{want, want}, []account.User{got, stored}); diff != "" || err != nil {
		t.Errorf("name and time of creation must stay, the rest change (%v):\n%s", err, diff)
	}
	if err := a.DeleteUser(ctx, "bob"); err != nil {
		t.Error(err)
	}
	if err := a.DeleteUser(ctx, "Bob"); !errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		t.Errorf("a second removal: %v", err)
	}
	if n, err := a.CountUsers(ctx); n != 0 || err != nil {
		t.Errorf("%d users are left (%v)", n, err)
	}
}
