package audit_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/audit"
)

// TestFIFOIsRefused: neither opening nor writing it may wait for a reader.
func TestFIFOIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(audit.Options{Path: path}); err == nil || !strings.Contains(err.Error(), path+" is no regular file") {
		t.Errorf("at the start: %v", err)
	}
	other := filepath.Join(t.TempDir(), "audit.log")
	b := newBench(t, other)
	defer b.close()
	if err := os.Rename(other, other+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, other); err != nil {
		t.Fatal(err)
	}
	if err := b.Reopen(); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("reopened: %v", err)
	}
	b.Write("alice", made)
	if got := lines(t, other+".1"); len(got) != 1 || b.Fault() == nil {
		t.Errorf("the former file got %d records, the fault is %v", len(got), b.Fault())
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := b.Reopen(); err != nil || b.Fault() != nil {
		t.Errorf("with the FIFO gone: %v %v", err, b.Fault())
	}
}

// TestFullDiskTearsNoLine: the file holds whole lines, is a fault while the disk is
// full, and takes records again when there is room.
func TestFullDiskTearsNoLine(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Skipf("SKIPPED: cannot mount a tmpfs here: %v", err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	path, fill := filepath.Join(dir, "audit.log"), filepath.Join(dir, "fill")
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, path)
		defer b.close()
		if err := os.WriteFile(fill, make([]byte, 40<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		r := made
		r.Parameters = audit.Texts("path", strings.Repeat("x", 3001))
		written := 0
		for ; b.Fault() == nil && written < 100; written++ {
			b.Write("alice", r)
		}
		whole := lines(t, path)
		if written > 30 || len(whole) != written-1 {
			t.Fatalf("%d of %d lines are there", len(whole), written)
		}
		if err := os.Remove(fill); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's clock
		b.Write("alice", r)
		got := lines(t, path)
		if b.Fault() != nil || len(got) != len(whole)+2 || got[len(whole)].Action != "gap" || got[len(whole)].Count != 1 {
			t.Errorf("with room again: %v, %d lines", b.Fault(), len(got))
		}
	})
}
