//go:build unix

package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestOpenWithoutPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("skipped: root may use every directory; run the tests as another user to see this one")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "as its owner or root") || !errors.Is(err, os.ErrPermission) {
		t.Errorf("%v, want the directory and the way out", err)
	}
}

func TestPrepareDir(t *testing.T) {
	base := t.TempDir()
	fresh := filepath.Join(base, "a", "b")
	if err := PrepareDir(fresh); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(fresh); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("made with %v (%v)", info.Mode(), err)
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{"relative": "absolute", file: "director"} {
		if err := PrepareDir(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	open := filepath.Join(base, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil { // past the umask
		t.Fatal(err)
	}
	if err := PrepareDir(open); err == nil || !strings.Contains(err.Error(), "chmod 0700") {
		t.Errorf("writable by others: %v", err)
	}
	if os.Geteuid() != 0 {
		return
	}
	foreign := filepath.Join(base, "foreign")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(foreign, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if err := PrepareDir(foreign); err != nil {
		t.Errorf("root at a foreign directory: %v", err)
	}
	db, err := Open(t.Context(), foreign)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, name := range []string{File, File + "-wal", File + "-shm", "lock"} {
		info, err := os.Stat(filepath.Join(foreign, name))
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != 12345 {
			t.Errorf("%s was not given to the owner of the directory (%v)", name, err)
		}
	}
}
