package account_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

func rw() []api.Permission { return []api.Permission{api.PermissionWrite, api.PermissionRead} }

func TestAPITokenActsAsItsUserWithPresentRights(t *testing.T) {
	s, now := newService(t, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "root", Password: "p", Superuser: true})
	bob := mustCreate(t, s, account.NewUser{Name: "bob", Password: "p", Superuser: true})
	caller := api.Caller{User: bob.Name, Superuser: true}
	admin, adminText, err := s.CreateAPIToken(t.Context(), caller, account.NewAPIToken{Permissions: append(rw(), api.PermissionAdmin)})
	if err != nil {
		t.Fatal(err)
	}
	_, text, err := s.CreateAPIToken(t.Context(), caller, account.NewAPIToken{Permissions: rw(), Path: "/in/", Expiry: api.TimeOf(now.Now().Add(time.Hour))})
	if err != nil {
		t.Fatal(err)
	}
	if user, ok := api.TokenUser(text); !ok || user != "bob" {
		t.Errorf("a client reads %q from it", user)
	}
	grant := func(token string) account.Grant {
		t.Helper()
		g, err := s.ByToken(t.Context(), token, "")
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if g := grant(adminText); !g.Superuser || g.Scope.TokenID != admin.TokenID || g.Scope.Path != "/" {
		t.Errorf("admin's grant: %+v", g)
	}
	if g := grant(text); g.Superuser || g.Scope.Path != "/in" || !g.Scope.Has(api.PermissionRead) || g.Scope.Has(api.PermissionAdmin) {
		t.Errorf("the grant: %+v", g)
	}
	if _, err := s.ByToken(t.Context(), text, "root"); wantCode(t, err, api.CodeUnauthorized) == "" {
		t.Error("no message")
	}
	no := false
	if _, err := s.Update(t.Context(), "bob", account.Change{Superuser: &no}); err != nil {
		t.Fatal(err)
	}
	if g := grant(adminText); g.Superuser {
		t.Error("a demoted user's token still is a superuser's")
	}
	now.Add(time.Hour)
	_, err = s.ByToken(t.Context(), text, "")
	if m := wantCode(t, err, api.CodeUnauthorized); !strings.Contains(m, "expired") {
		t.Errorf("message %q", m)
	}
	yes := true
	if _, err := s.Update(t.Context(), "bob", account.Change{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	_, err = s.ByToken(t.Context(), adminText, "")
	wantCode(t, err, api.CodeUnauthorized)
	if err := s.Delete(t.Context(), "BOB"); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p", Superuser: true})
	_, err = s.ByToken(t.Context(), adminText, "")
	wantCode(t, err, api.CodeUnauthorized)
}

// Neither the database nor the API contains anything with which one could log
// in.
func TestOnlyAHashIsKept(t *testing.T) {
	dir := t.TempDir()
	s := account.New(openStore(t, dir), account.Options{})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p"})
	_, text, err := s.CreateAPIToken(t.Context(), api.Caller{User: "bob"}, account.NewAPIToken{Permissions: rw()})
	if err != nil {
		t.Fatal(err)
	}
	secret := text[strings.LastIndexByte(text, '.')+1:]
	if len(secret) != 43 { // 256 bits in base64url
		t.Errorf("%d characters of randomness", len(secret))
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), secret) {
			t.Errorf("%s holds the token", e.Name())
		}
	}
}

func TestTokensOfAUserAreBounded(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	s := account.New(db, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p"})
	for i := range 3 {
		k := account.APIToken{TokenID: api.NewID(), Owner: "bob", Permissions: rw(), Path: "/", Hash: [32]byte{byte(i)}}
		err := db.InsertToken(t.Context(), &k, 2)
		if i < 2 && err != nil {
			t.Fatal(err)
		} else if i == 2 {
			wantCode(t, err, api.CodeConflict)
		}
	}
	_, _, err := s.CreateAPIToken(t.Context(), api.Caller{User: "nobody"}, account.NewAPIToken{Permissions: rw()})
	wantCode(t, err, api.CodeNotFound)
	_, _, err = s.CreateAPIToken(t.Context(), api.Caller{User: "bob", Scope: &api.Scope{TokenID: api.NewID(), Permissions: rw(), Path: "/"}}, account.NewAPIToken{Permissions: rw()})
	wantCode(t, err, api.CodeNotFound) // its parent was deleted meanwhile
}

func TestTokensAreListedInPagesAndDeletedByTheirOwner(t *testing.T) {
	s, _ := newService(t, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p"})
	bob := api.Caller{User: "bob"}
	var ids []string
	for range 3 {
		k, _, err := s.CreateAPIToken(t.Context(), bob, account.NewAPIToken{Permissions: rw()})
		if err != nil {
			t.Fatal(err)
		}
		ids = append([]string{k.TokenID}, ids...)
	}
	var listed []string
	for before := int64(0); ; {
		page, next, err := s.APITokens(t.Context(), "bob", before, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range page {
			listed = append(listed, k.TokenID)
		}
		if before = next; next == 0 {
			break
		}
	}
	if !slices.Equal(listed, ids) {
		t.Errorf("pages list %q, want %q", listed, ids)
	}
	for _, stranger := range []api.Caller{{User: "eve"}, {}} {
		if err := s.DeleteAPIToken(t.Context(), stranger, ids[0]); !errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
			t.Errorf("%q deletes a token of bob's: %v", stranger.User, err)
		}
	}
	for i, caller := range []api.Caller{bob, {User: "root", Superuser: true}} {
		if err := s.DeleteAPIToken(t.Context(), caller, ids[i]); err != nil {
			t.Errorf("%q cannot delete a token: %v", caller.User, err)
		}
	}
	if err := s.DeleteAPIToken(t.Context(), bob, ids[0]); !errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		t.Errorf("a token is deleted twice: %v", err)
	}
}

func TestExpiredTokensAreRemoved(t *testing.T) {
	db := openStore(t, t.TempDir())
	s := account.New(db, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p"})
	now := time.Now()
	insert := func(expiry time.Time) {
		t.Helper()
		id := api.NewID()
		k := account.APIToken{TokenID: id, Owner: "bob", Permissions: rw(), Path: "/", ExpiryTime: api.TimeOf(expiry), Hash: [32]byte([]byte(id))}
		if err := db.InsertToken(t.Context(), &k, 9); err != nil {
			t.Fatal(err)
		}
	}
	insert(now.Add(-time.Hour))
	insert(now.Add(24 * time.Hour))
	insert(time.Time{})
	if more, err := db.DeleteExpiredTokens(t.Context(), api.TimeOf(now), 1); err != nil || !more {
		t.Fatalf("one expired, one at a time: %v %v", more, err)
	}
	list, next, err := s.APITokens(t.Context(), "bob", 0, 9)
	if err != nil || len(list) != 2 || next != 0 {
		t.Fatalf("left: %v, next %d, %v", list, next, err)
	}

	// Serve on a fake clock, with a store that counts the sweeps.
	synctest.Test(t, func(t *testing.T) {
		store := &sweeps{}
		s := account.New(store, account.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx) }()
		time.Sleep(2*time.Hour - time.Second) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		if store.count != 2 {
			t.Errorf("%d sweeps in two hours, want 2", store.count)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// sweeps is a store that counts calls. A database could not be used with a fake
// clock.
type sweeps struct {
	account.Store
	count int
}

func (s *sweeps) DeleteExpiredTokens(context.Context, api.Time, int) (bool, error) {
	s.count++
	return false, nil
}

func TestConfinedSandboxKeepsPathsAndRefusesOthers(t *testing.T) {
	p := newPlace(t)
	mkdir(t, p.at("box/in/deep"))
	mkdir(t, p.at("box/in2"))
	write(t, p.at("box/in/deep/x"), "x")
	write(t, p.at("box/out"), "o")
	link(t, "../out", p.at("box/in/relative"))
	link(t, p.at("box/out"), p.at("box/in/absolute"))
	link(t, p.at("box/in/deep"), p.at("box/in/around"))
	link(t, "in", p.at("box/alias"))
	s, _ := newService(t, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p", Sandbox: p.at("box")})
	mustCreate(t, s, account.NewUser{Name: "eve", Password: "p", Sandbox: p.at("box")})
	scoped := func(path string) context.Context {
		return api.WithCaller(t.Context(), api.Caller{User: "bob", Scope: &api.Scope{Permissions: rw(), Path: path}})
	}
	for _, within := range []string{"/in", "/alias"} {
		box, err := s.Sandbox(scoped(within), "BOB", account.Read)
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{within: ".", within + "/deep/x": "deep/x", within + "/around/x": "deep/x", within + "/new": "new", within + "/deep/../deep": "deep"} {
			if got, err := box.Resolve(path, true); err != nil || got != want {
				t.Errorf("%s: %q, %v, want %q", path, got, err, want)
			}
		}
		if b, err := box.Root.ReadFile("deep/x"); string(b) != "x" || err != nil || box.Absolute("deep/x") != p.at("box/in/deep/x") {
			t.Errorf("%q, %v, %s", b, err, box.Absolute("deep/x"))
		}
		for _, path := range []string{"/", "/out", "/in2", within + "2", within + "/../out", within + "/relative", within + "/absolute"} {
			_, err := box.Resolve(path, true)
			wantCode(t, err, api.CodeForbidden)
		}
		if _, err := box.Root.ReadFile("relative"); err == nil {
			t.Error("the root itself lets a link lead out")
		}
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := s.Sandbox(scoped("/in"), "eve", account.Read)
	wantCode(t, err, api.CodeForbidden)
	_, err = s.Sandbox(scoped("/gone"), "bob", account.Read)
	wantCode(t, err, api.CodeConflict)
	_, err = s.Sandbox(scoped("/out"), "bob", account.Read)
	wantCode(t, err, api.CodeConflict)
}
