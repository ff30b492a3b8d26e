package account_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openStore opens the accounts of a state directory.
func openStore(t testing.TB, dir string) *store.Accounts {
	t.Helper()
	db, err := store.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db.Accounts()
}

// clock is a clock that tests advance.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newService returns a service on an empty database, with a clock.
func newService(t *testing.T, o account.Options) (*account.Service, *clock) {
	t.Helper()
	s := account.New(openStore(t, t.TempDir()), o)
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	s.SetClock(c.Now)
	return s, c
}

func mustCreate(t *testing.T, s *account.Service, n account.NewUser) account.User {
	t.Helper()
	u, err := s.Create(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// wantCode checks the code of an error and returns its message.
func wantCode(t *testing.T, err error, code api.Code) string {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", code)
	}
	e := api.ErrorOf(err)
	if e.Code != code {
		t.Fatalf("%s: %v, want %s", e.Code, err, code)
	}
	return e.Message
}

func TestCreateRefusesWhatIsNoUser(t *testing.T) {
	s, _ := newService(t, account.Options{})
	s.ObserveHashes(func() { t.Error("a refused user cost a hash") })
	good := account.NewUser{Name: "bob", Password: "p"}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	for field, spoil := range map[string][]func(*account.NewUser){
		"name": {
			func(n *account.NewUser) { n.Name = "" },
			func(n *account.NewUser) { n.Name = "-rf" },
			func(n *account.NewUser) { n.Name = ".." },
			func(n *account.NewUser) { n.Name = "a/b" },
			func(n *account.NewUser) { n.Name = "a\x00" },
			func(n *account.NewUser) { n.Name = "björn" },
			func(n *account.NewUser) { n.Name = strings.Repeat("a", 65) },
		},
		"password": {
			func(n *account.NewUser) { n.Password = "" },
			func(n *account.NewUser) { n.Password = strings.Repeat("a", 1025) },
		},
		"sandbox": {
			func(n *account.NewUser) { n.Sandbox = "srv/files" },
			func(n *account.NewUser) { n.Sandbox = "/srv\x00/files" },
			func(n *account.NewUser) { n.Sandbox = file },
			func(n *account.NewUser) { n.Sandbox = "/" + strings.Repeat("a", 4096) },
		},
	} {
		for _, f := range spoil {
			n := good
			f(&n)
			_, err := s.Create(t.Context(), n)
			wantCode(t, err, api.CodeInvalid)
			if fields := api.ErrorOf(err).Fields; len(fields) != 1 || fields[0].Field != field {
				t.Errorf("%+v: fields %+v, want %s", n, fields, field)
			}
		}
	}
}

func TestNamesAreUniqueWithoutCase(t *testing.T) {
	s, _ := newService(t, account.Options{})
	made := mustCreate(t, s, account.NewUser{Name: "Bob", Password: strings.Repeat("x", 1024), Superuser: true, Sandbox: t.TempDir()})
	_, err := s.Create(t.Context(), account.NewUser{Name: "bOB", Password: "p"})
	wantCode(t, err, api.CodeConflict)
	found, err := s.User(t.Context(), "boB")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, found); diff != "" {
		t.Errorf("the user found is not the one made (-made +found):\n%s", diff)
	}
	_, err = s.User(t.Context(), "bo")
	wantCode(t, err, api.CodeNotFound)
	wantCode(t, s.Delete(t.Context(), "bo"), api.CodeNotFound)
	wantCode(t, s.SetPassword(t.Context(), "bo", "p"), api.CodeNotFound)
	yes := true
	_, err = s.Update(t.Context(), "bo", account.Change{Disabled: &yes})
	wantCode(t, err, api.CodeNotFound)
}

func TestUsersAreListedNewestFirstInPages(t *testing.T) {
	s, _ := newService(t, account.Options{}) // all made at the same moment
	for _, name := range []string{"c", "a", "b"} {
		mustCreate(t, s, account.NewUser{Name: name, Password: "p"})
	}
	var names []string
	for after := ""; ; after = names[len(names)-1] {
		page, err := s.Users(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page {
			names = append(names, u.Name)
		}
		if len(page) < 2 {
			break
		}
	}
	if diff := cmp.Diff([]string{"b", "a", "c"}, names); diff != "" {
		t.Error(diff)
	}
	_, err := s.Users(t.Context(), "gone", 2)
	wantCode(t, err, api.CodeInvalid)
}

func TestUpdateChangesOnlyWhatIsGiven(t *testing.T) {
	s, _ := newService(t, account.Options{})
	before := mustCreate(t, s, account.NewUser{Name: "bob", Password: "p", Superuser: true})
	dir := t.TempDir()
	after, err := s.Update(t.Context(), "BOB", account.Change{Sandbox: &dir})
	if err != nil {
		t.Fatal(err)
	}
	before.Sandbox = dir
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	relative := "files"
	_, err = s.Update(t.Context(), "bob", account.Change{Sandbox: &relative})
	wantCode(t, err, api.CodeInvalid)
}

func TestEnsureAdminOnlyWithoutUsers(t *testing.T) {
	s, _ := newService(t, account.Options{})
	password, made, err := s.EnsureAdmin(t.Context())
	if err != nil || !made || len(password) < 20 {
		t.Fatalf("EnsureAdmin = %q, %v, %v", password, made, err)
	}
	u, err := s.Login(t.Context(), "admin", password, "192.0.2.1")
	if err != nil || !u.Superuser {
		t.Fatalf("admin's login = %+v, %v", u, err)
	}
	if password, made, err := s.EnsureAdmin(t.Context()); err != nil || made || password != "" {
		t.Fatalf("second EnsureAdmin = %q, %v, %v", password, made, err)
	}
}

func TestConcurrentWritesAllArrive(t *testing.T) {
	accounts := openStore(t, t.TempDir())
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			if err := accounts.InsertUser(context.Background(), account.User{Name: fmt.Sprint("user", n), Hash: "h"}); err != nil {
				t.Error(err)
			}
			err := accounts.InsertUser(context.Background(), account.User{Name: "same", Hash: "h"})
			if err != nil && !errors.Is(err, &api.Error{Code: api.CodeConflict}) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n, err := accounts.CountUsers(t.Context()); err != nil || n != 41 {
		t.Errorf("CountUsers = %d, %v, want 41", n, err)
	}
}

func FuzzValidName(f *testing.F) {
	for _, s := range []string{"", "bob", "bob@site-b.example", "..", "-x", "a/b", "a\n", strings.Repeat("a", 64), strings.Repeat("a", 65), "\xff", "é"} {
		f.Add(s)
	}
	rule := regexp.MustCompile(`\A[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}\z`)
	f.Fuzz(func(t *testing.T, name string) {
		if account.ValidName(name) != rule.MatchString(name) {
			t.Errorf("ValidName(%q) = %v", name, account.ValidName(name))
		}
	})
}
