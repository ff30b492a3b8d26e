package store

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestNoUpgradeWithoutRoomForACopy: the database stays as it is, and no part of a copy is
// left.
func TestNoUpgradeWithoutRoomForACopy(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	from, old := olderDatabase(t, 20)
	if _, err := old.Exec("INSERT INTO meta VALUES ('large', ?)", strings.Repeat("x", 4<<20)); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(from, File))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, File), text, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "there is no room for a copy of it") || !strings.Contains(err.Error(), "MB more are needed") {
		t.Errorf("got %v", err)
	}
	if list := (&DB{dir: dir}).copies(); len(list) != 0 {
		t.Errorf("copies: %v", list)
	}
	if version, err := checkDatabase(t.Context(), filepath.Join(dir, File)); err != nil || version != 20 {
		t.Errorf("it has schema %d (%v)", version, err)
	}
}
