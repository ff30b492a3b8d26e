package store

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// openBeside opens the database of db as another process does.
func openBeside(t *testing.T, db *DB) *DB {
	t.Helper()
	other, err := Open(t.Context(), db.current.generation.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	return other
}

// keeps tells whether db answers from memory, for which it gets two calls to
// read what it is asked for.
func keeps(t *testing.T, db *DB) bool {
	t.Helper()
	read := 0
	for range 3 {
		_, err := lookUp(db.current, db.current.users, "probe", func() (account.User, error) { read++; return account.User{}, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	return read < 3
}

// setHash changes a user as jetstream user passwd does.
func setHash(t *testing.T, db *DB, name, hash string) {
	t.Helper()
	_, err := db.Accounts().UpdateUser(t.Context(), name, func(u *account.User) error { u.Hash = hash; return nil })
	if err != nil {
		t.Fatal(err)
	}
}

// wantHash asks twice: as it was read, and as it is kept.
func wantHash(t *testing.T, db *DB, name, hash string) {
	t.Helper()
	for range 2 {
		if u, err := db.Accounts().User(t.Context(), name); err != nil || u.Hash != hash {
			t.Errorf("the user is %+v, want %q (%v)", u, hash, err)
		}
	}
}

// openWithAlice opens a database in which alice has the hash "first", which is
// kept.
func openWithAlice(t *testing.T) *DB {
	t.Helper()
	db := openTest(t)
	if err := db.Accounts().InsertUser(t.Context(), account.User{Name: "alice", Hash: "first"}); err != nil {
		t.Fatal(err)
	}
	wantHash(t, db, "alice", "first")
	if !keeps(t, db) {
		t.Fatal("nothing is kept from the start")
	}
	return db
}

// Changes of several processes go one after the other, because one that settles
// the number would do so for another that is still on its way.
func TestChangesWaitForEachOther(t *testing.T) {
	server := openWithAlice(t)
	other := openBeside(t, server)
	for _, first := range []*DB{server, other} {
		for _, second := range []*DB{server, other} {
			begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			go func() {
				ended <- first.current.generation.change(t.Context(), func() error {
					close(begun)
					<-end
					return nil
				})
			}()
			<-begun
			if keeps(t, server) || keeps(t, other) {
				t.Error("what is read during a change is kept")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err := second.current.generation.change(ctx, func() error { t.Error("two change at a time"); return nil })
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("one who waited for the other got %v", err)
			}
			if keeps(t, server) || keeps(t, other) {
				t.Error("one who gave up has settled the number of the other")
			}
			close(end)
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if !keeps(t, server) || !keeps(t, other) {
				t.Error("nothing is kept after the change")
			}
		}
	}
}

// Whoever was told that a change is saved is never told what was before it, by
// none of the processes, while all of them change users at the same time.
func TestManyProcessesChangeUsers(t *testing.T) {
	const changes = 40
	server := openTest(t)
	dbs := []*DB{server, openBeside(t, server), openBeside(t, server)}
	names := make([]string, len(dbs))
	saved := make([]atomic.Int64, len(dbs))
	for i := range dbs {
		names[i] = fmt.Sprint("user", i)
		if err := server.Accounts().InsertUser(t.Context(), account.User{Name: names[i], Sandbox: "0"}); err != nil {
			t.Fatal(err)
		}
	}
	var ended atomic.Bool
	var readers, writers sync.WaitGroup
	for _, db := range dbs {
		readers.Go(func() {
			for !ended.Load() {
				for i, name := range names {
					least := saved[i].Load()
					u, err := db.Accounts().User(t.Context(), name)
					if got, e := strconv.ParseInt(u.Sandbox, 10, 64); err != nil || e != nil || got < least {
						t.Errorf("change %d of %s was saved, and the answer was %q, %v", least, name, u.Sandbox, err)
						return
					}
				}
			}
		})
	}
	for i, db := range dbs {
		writers.Go(func() {
			for n := range int64(changes) {
				// Who finds the others at it for too long, as on a busy machine,
				// is refused and comes again.
				for end := time.Now().Add(2 * time.Minute); ; {
					_, err := db.Accounts().UpdateUser(t.Context(), names[i], func(u *account.User) error { u.Sandbox = fmt.Sprint(n + 1); return nil })
					if err == nil {
						break
					}
					if !errors.Is(err, &api.Error{Code: api.CodeUnavailable}) || time.Now().After(end) {
						t.Error(err)
						return
					}
				}
				saved[i].Store(n + 1)
			}
		})
	}
	writers.Wait()
	ended.Store(true)
	readers.Wait()
	for _, db := range dbs {
		if !keeps(t, db) {
			t.Error("nothing is kept once all is done")
		}
	}
}

// Each way to change or remove a user or a token gives another number.
func TestEachChangeHasItsNumber(t *testing.T) {
	db := openWithAlice(t)
	a, ctx := db.Accounts(), t.Context()
	for n := range 3 {
		k := account.APIToken{TokenID: fmt.Sprint("k", n), Hash: [32]byte{byte(n)}, Owner: "alice", Path: "/", ExpiryTime: api.Time(n)}
		if err := a.InsertToken(ctx, &k, 10); err != nil {
			t.Fatal(err)
		}
	}
	changes := []struct {
		what string
		make func() error
	}{
		{"UpdateUser", func() error {
			_, err := a.UpdateUser(ctx, "alice", func(u *account.User) error { u.Disabled = true; return nil })
			return err
		}},
		{"DeleteToken", func() error { return a.DeleteToken(ctx, "k0") }},
		{"DeleteExpiredTokens", func() error { _, err := a.DeleteExpiredTokens(ctx, 1, 10); return err }},
		{"DeleteUser", func() error { return a.DeleteUser(ctx, "alice") }},
		{"one that fails", func() error {
			if err := a.DeleteUser(ctx, "alice"); !errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
				return fmt.Errorf("removing nobody: %w", err)
			}
			return nil
		}},
	}
	had := map[uint64]bool{}
	for _, c := range changes {
		before, settled := db.current.generation.number()
		db.current.generation.settle() // as one who came too late for it
		if n, _ := db.current.generation.number(); n != before {
			t.Errorf("number %d, which was settled, became %d", before, n)
		}
		had[before] = true
		if err := c.make(); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		after, still := db.current.generation.number()
		if !settled || !still || had[after] {
			t.Errorf("%s: from number %d, settled %v, to %d, %v", c.what, before, settled, after, still)
		}
	}
}

// What the program's text changes or removes of users and tokens, it does by
// updateAccounts. Who is new needs no number.
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
			changes, tells := 0, false
			ast.Inspect(decl, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if n.Kind == token.STRING && changing.MatchString(n.Value) {
						changes++
					}
				case *ast.SelectorExpr:
					tells = tells || n.Sel.Name == "updateAccounts"
				}
				return true
			})
			if found += changes; changes > 0 && !tells {
				t.Errorf("%s changes users or tokens without updateAccounts, so that other processes keep what they were", name)
			}
		}
	}
	if found != 4 {
		t.Errorf("%d statements change users or tokens; is each of them in TestEachChangeHasItsNumber, which knows 4?", found)
	}
}

// The state directory of a JetStream that knew no such file gets one, for its
// owner alone.
func TestStateDirectoryGetsTheFile(t *testing.T) {
	dir, old := olderDatabase(t, 11)
	if _, err := old.Exec("INSERT INTO users (name, superuser, sandbox, disabled, hash, create_time) VALUES ('alice', 0, '', 0, 'first', 1)"); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, generationFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 && filepath.Separator == '/' {
		t.Errorf("the file is %v (%v)", info, err)
	}
	wantHash(t, db, "alice", "first")
	if !keeps(t, db) {
		t.Error("nothing is kept")
	}
}

func TestNoChangeAfterClose(t *testing.T) {
	db := openWithAlice(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := db.current.generation.change(t.Context(), func() error { t.Error("a change after Close"); return nil })
		if !errors.Is(err, &api.Error{Code: api.CodeUnavailable}) {
			t.Errorf("a change after Close: %v", err)
		}
	}
	if _, settled := db.current.generation.number(); settled {
		t.Error("a closed file has a number")
	}
}
