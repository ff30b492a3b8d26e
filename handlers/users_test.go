package handlers

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
)

// userRegistry returns the commands for users on an empty database.
func userRegistry(t *testing.T) *api.Registry {
	t.Helper()
	db, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return api.NewRegistry(userCommands(Deps{Accounts: account.New(db.Accounts(), account.Options{})})...)
}

// do calls a command without a caller.
func do(t *testing.T, r *api.Registry, name string, params any) (api.Outcome, error) {
	t.Helper()
	c, ok := r.Find(name)
	if !ok {
		t.Fatalf("no command %s", name)
	}
	return c.Do(t.Context(), params)
}

func TestCreateUserAnswersWithoutSecrets(t *testing.T) {
	r := userRegistry(t)
	out, err := do(t, r, "createUser", account.NewUser{Name: "bob@site", Password: "hush-hush", Superuser: true, Sandbox: "/srv/bob"})
	if err != nil {
		t.Fatal(err)
	}
	if out.Status != 201 || out.Location != "/users/bob@site" {
		t.Errorf("status %d, location %q", out.Status, out.Location)
	}
	var u map[string]any
	if err := json.Unmarshal(out.Result, &u); err != nil {
		t.Fatal(err)
	}
	if u["name"] != "bob@site" || u["superuser"] != true || u["sandbox"] != "/srv/bob" || u["disabled"] != false || u["createTime"] == nil || u["mayDelete"] != true || len(u) != 6 {
		t.Errorf("result %s", out.Result)
	}
	if text := string(out.Result); strings.Contains(text, "hush") || strings.Contains(text, "argon2") {
		t.Errorf("the result tells a secret: %s", text)
	}
	c, _ := r.Find("createUser")
	if shown := string(c.Request(map[string]json.RawMessage{"name": json.RawMessage(`"bob"`), "password": json.RawMessage(`"hush-hush"`)})); strings.Contains(shown, "hush") {
		t.Errorf("the command as logs see it tells the password: %s", shown)
	}
	if _, err := do(t, r, "createUser", account.NewUser{Name: "BOB@site", Password: "p"}); api.ErrorOf(err).Code != api.CodeConflict {
		t.Errorf("the same name again: %v", err)
	}
}

func TestUserCommandsAreForSuperusers(t *testing.T) {
	for _, c := range userCommands(Deps{}) {
		if c.Name == "getUser" || c.Name == "updateUser" {
			continue // also for oneself
		}
		if c.Access != api.AccessSuperuser {
			t.Errorf("%s may be called by access level %d", c.Name, c.Access)
		}
	}
}

func TestGetUsersGoesOnByCursor(t *testing.T) {
	r := userRegistry(t)
	list := func(cursor string) (names []string, next *string) {
		t.Helper()
		out, err := do(t, r, "getUsers", getUsersParams{api.ListParams{Limit: 2, Cursor: cursor}})
		if err != nil {
			t.Fatal(err)
		}
		var l struct {
			Users      []struct{ Name string }
			NextCursor *string
		}
		if err := json.Unmarshal(out.Result, &l); err != nil {
			t.Fatal(err)
		}
		if l.Users == nil || !strings.Contains(string(out.Result), `"nextCursor":`) {
			t.Errorf("result %s lacks users or nextCursor", out.Result)
		}
		for _, u := range l.Users {
			names = append(names, u.Name)
		}
		return names, l.NextCursor
	}
	if names, next := list(""); len(names) != 0 || next != nil {
		t.Errorf("no users: %v, %v", names, next)
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		if _, err := do(t, r, "createUser", account.NewUser{Name: name, Password: "p"}); err != nil {
			t.Fatal(err)
		}
	}
	first, next := list("")
	if next == nil {
		t.Fatalf("page %v has no next", first)
	}
	second, end := list(*next)
	if got := strings.Join(append(first, second...), ""); got != "dcba" || end != nil {
		t.Errorf("pages hold %s, then cursor %v", got, end)
	}
	for _, bad := range []string{"!", "Li4v", "bm9ib2R5"} { // no base64url; "../"; nobody
		if _, err := do(t, r, "getUsers", getUsersParams{api.ListParams{Limit: 2, Cursor: bad}}); api.ErrorOf(err) == nil || api.ErrorOf(err).Code != api.CodeInvalid {
			t.Errorf("cursor %q: %v", bad, err)
		}
	}
}

// hangsUp is a store that cancels the call after it has changed a user.
type hangsUp struct {
	account.Store
	goAway func()
}

func (h hangsUp) UpdateUser(ctx context.Context, name string, change func(*account.User) error) (account.User, error) {
	defer h.goAway()
	return h.Store.UpdateUser(ctx, name, change)
}

func (h hangsUp) DeleteUser(ctx context.Context, name string) error {
	defer h.goAway()
	return h.Store.DeleteUser(ctx, name)
}

func TestTransfersOfARemovedUserEndEvenIfTheCallerHangsUp(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		params any
		want   transfer.Status
	}{
		"updateUser": {updateUserParams{getUserParams{"alice"}, account.Change{Disabled: &yes}}, transfer.StatusError},
		"deleteUser": {deleteUserParams{getUserParams{"alice"}, true}, transfer.StatusCancelled},
	} {
		s := newSending(t)
		_, _, id := s.made()
		ctx, cancel := context.WithCancel(t.Context())
		users := api.NewRegistry(userCommands(Deps{Accounts: account.New(hangsUp{s.accounts, cancel}, account.Options{}), Engine: s.engine})...)
		command, _ := users.Find(name)
		if _, err := command.Do(api.WithCaller(ctx, api.Caller{User: "root", Superuser: true}), c.params); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if x, err := s.engine.LoadTransfer(t.Context(), id); err != nil || x.Status != c.want {
			t.Errorf("after %s the user's transfer is %s (%v), want %s", name, x.Status, err, c.want)
		}
	}
}
