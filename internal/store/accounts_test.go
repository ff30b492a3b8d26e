package store

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/triggers"
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

// TestNewUserOwnsNothingYet: what bears the name in any letters, in every table,
// is a removed user's, however often that happens.
func TestNewUserOwnsNothingYet(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	inTx(t, db, func(tx transfer.Tx) error { // what a call under way at the removal has left
		return tx.SaveDestination(&transfer.Destination{DestinationID: "bobs", Owner: "bob", DestinationAddress: "host"})
	})
	for i, name := range []string{"eve", "EVE", "eve"} {
		if err := db.Accounts().InsertUser(ctx, account.User{Name: name, CreateTime: api.Time(i + 1)}); err != nil {
			t.Fatal(err)
		}
		if list, err := db.Transfers().Destinations(ctx, transfer.Page{Owner: name, Limit: 9}); err != nil || len(list) != 0 {
			t.Errorf("%s number %d owns %v (%v)", name, i, list, err)
		}
		inTx(t, db, func(tx transfer.Tx) error {
			return errors.Join(
				tx.SaveDestination(&transfer.Destination{DestinationID: api.NewID(), Owner: name, DestinationAddress: "host"}),
				tx.InsertRun(&triggers.Run{RunID: api.NewID(), EventID: api.NewID(), Status: triggers.StatusQueued, User: name}))
		})
		if err := db.Accounts().DeleteUser(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	list, err := db.Transfers().Destinations(ctx, transfer.Page{Limit: 9})
	var owners []string
	for _, d := range list {
		owners = append(owners, d.Owner)
	}
	if diff := cmp.Diff([]string{"eve", "EVE (removed)", "eve (removed)", "bob"}, owners); diff != "" || err != nil {
		t.Errorf("owners of destinations (%v):\n%s", err, diff)
	}
	runs, _, err := db.Runs().Runs(ctx, triggers.Filter{User: "eve (removed)", Limit: 9})
	if len(runs) != 1 || err != nil {
		t.Errorf("%d runs of the former eve (%v), want 1", len(runs), err)
	}
	if err := db.Accounts().InsertUser(ctx, account.User{Name: "eve"}); err != nil {
		t.Errorf("once more, with the same destination: %v", err)
	}
}
