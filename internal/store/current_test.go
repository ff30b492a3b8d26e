package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// What jetstream user changes beside a running server counts at the next call.
func TestAccountsAreAsAnotherProcessLeftThem(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	open := func() *Accounts {
		db, err := Open(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db.Accounts()
	}
	server, other := open(), open()
	if err := server.InsertUser(ctx, account.User{Name: "alice", Hash: "first"}); err != nil {
		t.Fatal(err)
	}
	token := func(n int) account.APIToken {
		return account.APIToken{TokenID: fmt.Sprint("token", n), Owner: "alice", Path: "/", Hash: sha256.Sum256([]byte{byte(n)}),
			Permissions: []api.Permission{api.PermissionRead}}
	}
	for n := range 3 {
		k := token(n)
		if err := server.InsertToken(ctx, &k, 10); err != nil {
			t.Fatal(err)
		}
	}
	missing := &api.Error{Code: api.CodeNotFound}
	check := func(after, hash string, tokens ...bool) {
		t.Helper()
		for range 2 { // as read, and as kept
			u, err := server.User(ctx, "alice")
			if hash == "" && !errors.Is(err, missing) || hash != "" && (err != nil || u.Hash != hash) {
				t.Errorf("%s: the user is %+v, %v", after, u, err)
			}
			for n, there := range tokens {
				k, owner, err := server.TokenByHash(ctx, token(n).Hash)
				switch {
				case !there && !errors.Is(err, missing):
					t.Errorf("%s: token %d is %+v, %v", after, n, k, err)
				case there && (err != nil || owner.Hash != hash || k.TokenID != token(n).TokenID):
					t.Errorf("%s: token %d is %+v of %+v, %v", after, n, k, owner, err)
				}
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check("made", "first", true, true, true)
	_, err := other.UpdateUser(ctx, "alice", func(u *account.User) error { u.Hash = "second"; return nil })
	must(err)
	check("another password", "second", true, true, true)
	must(other.DeleteToken(ctx, "token0"))
	check("a token deleted there", "second", false, true, true)
	must(server.DeleteToken(ctx, "token1"))
	check("a token deleted here", "second", false, false, true)
	must(other.DeleteUser(ctx, "alice"))
	check("the user deleted there", "", false, false, false)
	must(other.InsertUser(ctx, account.User{Name: "alice", Hash: "third"}))
	check("another user of the name", "third", false, false, false)
	late := token(0)
	late.TokenID = "late"
	late.ExpiryTime = 1
	must(other.InsertToken(ctx, &late, 10))
	if k, _, err := server.TokenByHash(ctx, late.Hash); err != nil || k.TokenID != "late" {
		t.Errorf("a token made there is %+v, %v", k, err)
	}
	if more, err := other.DeleteExpiredTokens(ctx, 2, 10); more || err != nil {
		t.Fatal(more, err)
	}
	check("an expired token swept there", "third", false)
}

// The caller of an answer owns what it holds.
func TestKeptTokenIsNotTheCallersToChange(t *testing.T) {
	a, ctx := openTest(t).Accounts(), t.Context()
	if err := a.InsertUser(ctx, account.User{Name: "alice"}); err != nil {
		t.Fatal(err)
	}
	k := account.APIToken{TokenID: "k", Owner: "alice", Path: "/", Permissions: []api.Permission{api.PermissionRead}}
	if err := a.InsertToken(ctx, &k, 10); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		got, _, err := a.TokenByHash(ctx, k.Hash)
		if err != nil || got.Permissions[0] != api.PermissionRead {
			t.Fatalf("%+v, %v", got, err)
		}
		got.Permissions[0] = api.PermissionAdmin
	}
}

// Who asks after a change was saved is never told what was before it, however
// many ask while it is saved.
func TestAccountsAreNeverOlderThanTheCall(t *testing.T) {
	a, ctx := openTest(t).Accounts(), t.Context()
	if err := a.InsertUser(ctx, account.User{Name: "alice", Sandbox: "0"}); err != nil {
		t.Fatal(err)
	}
	var saved atomic.Int64
	var ended atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !ended.Load() {
				least := saved.Load()
				u, err := a.User(ctx, "alice")
				if got, e := strconv.ParseInt(u.Sandbox, 10, 64); err != nil || e != nil || got < least {
					t.Errorf("change %d was saved, and the answer was %q, %v", least, u.Sandbox, err)
					return
				}
			}
		})
	}
	for n := range int64(300) {
		_, err := a.UpdateUser(ctx, "alice", func(u *account.User) error { u.Sandbox = fmt.Sprint(n + 1); return nil })
		if err != nil {
			t.Fatal(err)
		}
		saved.Store(n + 1)
	}
	ended.Store(true)
	wg.Wait()
}

// What was read before a change is not given to who asks after it, whoever
// changed it and whether or not another call saw that.
func TestAnswerThatWasOvertakenIsNotKept(t *testing.T) {
	for _, here := range []bool{true, false} {
		for _, seen := range []bool{true, false} {
			db, ctx := openTest(t), t.Context()
			a := db.Accounts()
			changer := a
			if !here {
				changer = openBeside(t, db).Accounts()
			}
			if err := a.InsertUser(ctx, account.User{Name: "alice", Hash: "old"}); err != nil {
				t.Fatal(err)
			}
			slow, err := lookUp(db.current, db.current.users, "alice", func() (account.User, error) {
				_, err := changer.UpdateUser(ctx, "alice", func(u *account.User) error { u.Hash = "new"; return nil })
				if err != nil {
					t.Fatal(err)
				}
				if seen {
					if u, err := a.User(ctx, "alice"); err != nil || u.Hash != "new" {
						t.Errorf("after the change: %+v, %v", u, err)
					}
				}
				return account.User{Name: "alice", Hash: "old"}, nil
			})
			if err != nil || slow.Hash != "old" {
				t.Errorf("the one who asked before the change: %+v, %v", slow, err)
			}
			for range 2 {
				if u, err := a.User(ctx, "alice"); err != nil || u.Hash != "new" {
					t.Errorf("changed here %v, seen %v: the next who asks: %+v, %v", here, seen, u, err)
				}
			}
		}
	}
}

func TestKeptUsersAreBounded(t *testing.T) {
	db := openTest(t)
	for n := range maxCurrent + 10 {
		_, err := lookUp(db.current, db.current.users, fmt.Sprint(n), func() (account.User, error) { return account.User{}, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := len(db.current.users); n == 0 || n > maxCurrent {
		t.Errorf("%d users are kept", n)
	}
}

// BenchmarkWhoCalls measures what each request asks of the accounts.
func BenchmarkWhoCalls(b *testing.B) {
	db, err := Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	a := db.Accounts()
	k := account.APIToken{TokenID: "k", Owner: "alice", Path: "/", Permissions: []api.Permission{api.PermissionRead}}
	if err := errors.Join(a.InsertUser(b.Context(), account.User{Name: "alice"}), a.InsertToken(b.Context(), &k, 1)); err != nil {
		b.Fatal(err)
	}
	b.Run("user", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.User(b.Context(), "alice"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("token", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := a.TokenByHash(b.Context(), k.Hash); err != nil {
				b.Fatal(err)
			}
		}
	})
}
