package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"jetstream/internal/api"
)

// A full disk is told as such, and what is saved once there is room is saved.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	db, err := Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	fill := filepath.Join(dir, "fill")
	if err := os.WriteFile(fill, make([]byte, 17<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk could not be filled: %v", err)
	}
	long := strings.Repeat("x", 1<<20)
	e, ok := errors.AsType[*api.Error](db.SetMeta(t.Context(), "a", long))
	if !ok || e.Code != api.CodeUnavailable || !strings.Contains(e.Message, "disk is full") || e.Err == nil {
		t.Errorf("got %v, want unavailable for a full disk, with its cause", e)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	if err := db.SetMeta(t.Context(), "a", long); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if v, err := db.Meta(t.Context(), "a"); v != long || err != nil {
		t.Errorf("%d bytes came back, %v", len(v), err)
	}
}

// TestProbeLeavesNothing, also where a server was killed in the midst of one.
func TestProbeLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	w := writable{dir: dir}
	if err := os.WriteFile(filepath.Join(dir, probeFile), make([]byte, 2*probeRoom), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.probe(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left over: %v (%v)", left, err)
	}
}
