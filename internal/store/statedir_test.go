package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOneProcessHasTheStateDirectory: a second Open is refused until the first
// was closed, and leaves the directory as it is.
func TestOneProcessHasTheStateDirectory(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "--persistent-state-dir") {
		t.Errorf("a second Open: %v", err)
	}
	if err := db.SetMeta(t.Context(), "a", "b"); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if v, err := openDir(t, dir).Meta(t.Context(), "a"); v != "b" || err != nil {
		t.Errorf("after Close: %q (%v)", v, err)
	}
}

// TestAnOpenThatFailsKeepsNoLock.
func TestAnOpenThatFailsKeepsNoLock(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, File)
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); err == nil || errors.Is(err, ErrLocked) {
		t.Fatalf("what is no database was opened: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	openDir(t, dir)
}

// TestFilesOfEarlierBuilds: those without meaning are removed, and one that may
// hold events is refused, with all as it was.
func TestFilesOfEarlierBuilds(t *testing.T) {
	write := func(t *testing.T, dir, name string, text []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, journal := range map[string][]byte{"empty": nil, "zeros": make([]byte, 1<<20), "a few zeros": make([]byte, 5)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			left := []string{write(t, dir, formerJournal, journal), write(t, dir, formerGeneration, []byte("0123456789abcdef"))}
			openDir(t, dir)
			for _, path := range left {
				if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is still there (%v)", path, err)
				}
			}
		})
	}
	t.Run("records", func(t *testing.T) {
		dir, old := olderDatabase(t, 12)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		database := filepath.Join(dir, File)
		before, err := os.ReadFile(database)
		if err != nil {
			t.Fatal(err)
		}
		journal := write(t, dir, formerJournal, append([]byte("a record's head of 24 bytes, and its rows"), make([]byte, 1<<20)...))
		_, err = Open(t.Context(), dir)
		if err == nil {
			t.Fatal("events of an earlier build were passed over")
		}
		for _, want := range []string{dir, "file journal", "start that build", "stop it", "remove the file", "are lost"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
		if after, err := os.ReadFile(database); err != nil || string(after) != string(before) {
			t.Errorf("the earlier build cannot open the database any more (%v)", err)
		}
		if err := os.Remove(journal); err != nil {
			t.Fatal(err)
		}
		openDir(t, dir)
	})
}

// TestAnOlderBuildRefusesTheDatabase, by the number of its schema.
func TestAnOlderBuildRefusesTheDatabase(t *testing.T) {
	files, err := schema.ReadDir("schema")
	if err != nil {
		t.Fatal(err)
	}
	dir, newer := olderDatabase(t, len(files))
	if _, err := newer.Exec(fmt.Sprintf("PRAGMA user_version = %d", len(files)+1)); err != nil {
		t.Fatal(err)
	}
	if err := newer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "newer JetStream") {
		t.Errorf("a database of a later schema: %v", err)
	}
}
