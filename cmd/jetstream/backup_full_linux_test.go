package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestBackupOnAFullDisk leaves nothing, whatever it has no room for, nor does a restore.
func TestBackupOnAFullDisk(t *testing.T) {
	state, other := largeState(t, 3<<20), t.TempDir()
	whole := filepath.Join(other, "whole")
	command(t, "backup", whole, "--persistent-state-dir="+state)
	for what, size := range map[string]string{"copy": "2m", "backup": "5m"} {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=700"); err != nil {
			t.Skipf("cannot mount a tmpfs here: %v", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		refused := func(args ...string) {
			t.Helper()
			var out, errs bytes.Buffer
			code := run(t.Context(), args, os.Getenv, strings.NewReader(""), &out, &errs)
			if code != exitFailed || !strings.Contains(errs.String(), "no space left on device") {
				t.Errorf("without room for the %s, jetstream %q: %d %s", what, args, code, errs.String())
			}
		}
		refused("backup", filepath.Join(dir, "b"), "--persistent-state-dir="+state)
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("without room for the %s, left over: %v (%v)", what, left, err)
		}
		if what != "copy" {
			continue
		}
		refused("restore", whole, "--persistent-state-dir="+dir)
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "lock" {
			t.Errorf("a restore leaves %v (%v)", left, err)
		}
	}
}
