package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// alice's tokens, by number.
func aliceToken(n int) account.APIToken {
	return account.APIToken{TokenID: fmt.Sprint("token", n), Owner: "alice", Path: "/", Hash: sha256.Sum256([]byte{byte(n)}),
		Permissions: []api.Permission{api.PermissionRead}}
}

// openWithAlice opens a database with alice and so many tokens of hers, which
// end at 1.
func openWithAlice(t testing.TB, tokens int) *DB {
	t.Helper()
	db := openTest(t)
	err := db.Accounts().InsertUser(t.Context(), account.User{Name: "alice", Hash: "first"})
	for n := range tokens {
		k := aliceToken(n)
		k.ExpiryTime = 1
		err = errors.Join(err, db.Accounts().InsertToken(t.Context(), &k, 10))
	}
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestAChangedAccountCountsAtTheNextCall(t *testing.T) {
	db, ctx := openWithAlice(t, 3), t.Context()
	a := db.Accounts()
	missing := &api.Error{Code: api.CodeNotFound}
	check := func(after, hash string, tokens ...bool) {
		t.Helper()
		for range 2 { // as read, and as cached
			u, err := a.User(ctx, "alice")
			if hash == "" && !errors.Is(err, missing) || hash != "" && (err != nil || u.Hash != hash) {
				t.Errorf("%s: the user is %+v, %v", after, u, err)
			}
			for n, there := range tokens {
				k, owner, err := a.TokenByHash(ctx, aliceToken(n).Hash)
				switch {
				case !there && !errors.Is(err, missing):
					t.Errorf("%s: token %d is %+v, %v", after, n, k, err)
				case there && (err != nil || owner.Hash != hash || k.TokenID != aliceToken(n).TokenID):
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
	_, err := a.UpdateUser(ctx, "ALICE", func(u *account.User) error { u.Hash = "second"; return nil })
	must(err)
	check("another password", "second", true, true, true)
	must(a.DeleteToken(ctx, "token1"))
	check("a token deleted", "second", true, false, true)
	if err := a.DeleteToken(ctx, "token1"); !errors.Is(err, missing) {
		t.Errorf("deleted once more: %v", err)
	}
	check("nothing changed", "second", true, false, true)
	if more, err := a.DeleteExpiredTokens(ctx, 2, 10); more || err != nil {
		t.Fatal(more, err)
	}
	check("the expired tokens removed", "second", false, false, false)
	must(a.DeleteUser(ctx, "alice"))
	check("the user removed", "", false, false, false)
	must(a.InsertUser(ctx, account.User{Name: "alice", Hash: "third"}))
	check("another user of the name", "third", false, false, false)
	k := aliceToken(0)
	must(a.InsertToken(ctx, &k, 10))
	check("another token", "third", true, false, false)
}

// The caller of an answer owns what it holds.
func TestACachedTokenIsNotTheCallersToChange(t *testing.T) {
	a, ctx := openWithAlice(t, 1).Accounts(), t.Context()
	for range 3 {
		got, _, err := a.TokenByHash(ctx, aliceToken(0).Hash)
		if err != nil || got.Permissions[0] != api.PermissionRead {
			t.Fatalf("%+v, %v", got, err)
		}
		got.Permissions[0] = api.PermissionAdmin
	}
}

// Whoever asks after a change was committed is never told what was before it,
// however many ask while it is made.
func TestAccountsAreNeverOlderThanTheCall(t *testing.T) {
	a, ctx := openWithAlice(t, 0).Accounts(), t.Context()
	var saved atomic.Int64
	var ended atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !ended.Load() {
				least := saved.Load()
				u, err := a.User(ctx, "alice")
				if got, _ := strconv.ParseInt(u.Sandbox, 10, 64); err != nil || got < least {
					t.Errorf("change %d was saved, and the answer was %q, %v", least, u.Sandbox, err)
					return
				}
			}
		})
	}
	for n := range int64(100) {
		_, err := a.UpdateUser(ctx, "alice", func(u *account.User) error { u.Sandbox = fmt.Sprint(n + 1); return nil })
		if err != nil {
			t.Fatal(err)
		}
		saved.Store(n + 1)
	}
	ended.Store(true)
	wg.Wait()
}

// What was read before a change is not cached after it, whether or not another
// call saw the change meanwhile.
func TestAnOvertakenAnswerIsNotCached(t *testing.T) {
	for _, seen := range []bool{true, false} {
		db, ctx := openWithAlice(t, 0), t.Context()
		a := db.Accounts()
		slow, err := cached(db.accounts, db.accounts.users, "alice", func() (account.User, error) {
			before, err := a.User(ctx, "alice")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.UpdateUser(ctx, "alice", func(u *account.User) error { u.Hash = "new"; return nil }); err != nil {
				t.Fatal(err)
			}
			if seen {
				if u, err := a.User(ctx, "alice"); err != nil || u.Hash != "new" {
					t.Errorf("after the change: %+v, %v", u, err)
				}
			}
			return before, nil
		})
		if err != nil || slow.Hash != "first" {
			t.Errorf("the one who asked before the change: %+v, %v", slow, err)
		}
		for range 2 {
			if u, err := a.User(ctx, "alice"); err != nil || u.Hash != "new" {
				t.Errorf("seen %v: the next who asks: %+v, %v", seen, u, err)
			}
		}
	}
}

// Nothing is cached while a change goes on: between its commit and its end
// others may know of it already.
func TestNothingIsCachedDuringAChange(t *testing.T) {
	db, ctx := openWithAlice(t, 0), t.Context()
	a := db.Accounts()
	user := func() {
		t.Helper()
		if _, err := a.User(ctx, "alice"); err != nil {
			t.Error(err)
		}
	}
	user()
	if len(db.accounts.users) != 1 {
		t.Fatal("a user is not cached; this test shows nothing")
	}
	inside := func(*account.User) error {
		user()
		if n := len(db.accounts.users); n != 0 {
			t.Errorf("%d users are cached within the change", n)
		}
		return nil
	}
	if _, err := a.UpdateUser(ctx, "alice", inside); err != nil {
		t.Fatal(err)
	}
	if user(); len(db.accounts.users) != 1 {
		t.Error("a user is not cached after the change")
	}
}

func TestCachedUsersAreBounded(t *testing.T) {
	c := newAccountCache()
	for n := range maxCached + 10 {
		_, err := cached(c, c.users, fmt.Sprint(n), func() (account.User, error) { return account.User{}, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.users); n == 0 || n > maxCached {
		t.Errorf("%d users are cached", n)
	}
}

// What the program's text changes or removes of users and tokens, it does by
// updateAccounts; whoever is new was not cached.
func TestAccountsAreChangedByUpdateAccountsAlone(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	changing := regexp.MustCompile(`(?is)\b(UPDATE|DELETE\s+FROM|REPLACE\s+INTO)\s+(users|api_tokens)\b|INTO\s+(users|api_tokens)\b.*\bDO\s+UPDATE\b`)
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			changes, through := 0, false
			ast.Inspect(decl, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if n.Kind == token.STRING && changing.MatchString(n.Value) {
						changes++
					}
				case *ast.SelectorExpr:
					through = through || n.Sel.Name == "updateAccounts"
				}
				return true
			})
			if found += changes; changes > 0 && !through {
				t.Errorf("%s changes users or tokens without updateAccounts, so that they stay cached as they were", name)
			}
		}
	}
	if found != 4 {
		t.Errorf("%d statements change users or tokens; is each of them in TestAChangedAccountCountsAtTheNextCall, which knows 4?", found)
	}
}

// BenchmarkWhoCalls measures what each request asks of the accounts.
func BenchmarkWhoCalls(b *testing.B) {
	a := openWithAlice(b, 1).Accounts()
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
			if _, _, err := a.TokenByHash(b.Context(), aliceToken(0).Hash); err != nil {
				b.Fatal(err)
			}
		}
	})
}
