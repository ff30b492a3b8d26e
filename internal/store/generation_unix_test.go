//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// Whatever becomes of the file: what another process changes counts at the next
// call, and afterwards users are kept again.
func TestChangesCountWhateverBecomesOfTheFile(t *testing.T) {
	for what, damage := range map[string]func(path string) error{
		"nothing": func(string) error { return nil },
		"removed": os.Remove,
		"moved":   func(path string) error { return os.Rename(path, path+".old") },
		"emptied": func(path string) error { return os.Truncate(path, 0) },
		"cut":     func(path string) error { return os.Truncate(path, numberAt+numberSize-1) },
		"zeroed": func(path string) error {
			return errors.Join(os.Truncate(path, 0), os.Truncate(path, numberAt+numberSize))
		},
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", make([]byte, 100), 0o600), os.Rename(path+".new", path))
		},
	} {
		t.Run(what, func(t *testing.T) {
			server := openWithAlice(t)
			path := filepath.Join(server.current.generation.dir, generationFile)
			before := openBeside(t, server)
			for n := range 4 {
				for by, other := range map[string]func() *DB{
					"one that had it open": func() *DB { return before },
					"a new one":            func() *DB { return openBeside(t, server) },
					"the server":           func() *DB { return server },
				} {
					if err := damage(path); err != nil {
						t.Fatal(err)
					}
					hash := fmt.Sprint(by, n)
					setHash(t, other(), "alice", hash)
					wantHash(t, server, "alice", hash)
					wantHash(t, before, "alice", hash)
					if !keeps(t, server) || !keeps(t, before) {
						t.Fatalf("after a change by %s nothing is kept any more", by)
					}
				}
			}
			if info, err := os.Stat(path); err != nil || info.Size() < numberAt+numberSize {
				t.Errorf("the file is %v (%v)", info, err)
			}
		})
	}
}

// A file that is taken away during a change is made anew by a process that does
// not know of the change, and keeps what was before it.
func TestChangeCountsThatLostItsFile(t *testing.T) {
	server := openWithAlice(t)
	other := openBeside(t, server)
	err := other.current.generation.change(t.Context(), func() error {
		if err := os.Remove(server.current.generation.path()); err != nil {
			return err
		}
		for !keeps(t, server) {
			wantHash(t, server, "alice", "first")
		}
		wantHash(t, server, "alice", "first")
		return other.update(t.Context(), func(t *tx) error {
			_, err := t.exec("UPDATE users SET hash = 'second' WHERE name = 'alice'")
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	wantHash(t, server, "alice", "second")
}

// A file that cannot be used makes all slow, nothing wrong: users are read, and
// changed by nobody.
func TestChangesAreRefusedWithoutTheFile(t *testing.T) {
	server := openWithAlice(t)
	other := openBeside(t, server)
	path := filepath.Join(server.current.generation.dir, generationFile)
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	late := openBeside(t, server) // starts all the same
	for _, db := range []*DB{server, other, late} {
		_, err := db.Accounts().UpdateUser(t.Context(), "alice", func(u *account.User) error { u.Hash = "second"; return nil })
		e, ok := errors.AsType[*api.Error](err)
		if !ok || e.Code != api.CodeUnavailable || !strings.Contains(e.Message, generationFile) || e.Err == nil {
			t.Errorf("a change without the file: %v", err)
		}
		wantHash(t, db, "alice", "first")
		// It is back in the database's hands; who is new needs no number.
		if err := db.Accounts().InsertUser(t.Context(), account.User{Name: fmt.Sprintf("u%p", db), Hash: "h"}); err != nil {
			t.Error(err)
		}
	}
	// However the database came by a change, it counts at once.
	err := server.update(t.Context(), func(t *tx) error {
		_, err := t.exec("UPDATE users SET hash = 'third' WHERE name = 'alice'")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, db := range []*DB{server, other, late} {
		wantHash(t, db, "alice", "third")
		if !keeps(t, db) {
			t.Error("nothing is kept once the file can be used again")
		}
	}
	setHash(t, late, "alice", "fourth")
	wantHash(t, server, "alice", "fourth")
}
