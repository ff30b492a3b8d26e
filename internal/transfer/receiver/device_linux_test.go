package receiver_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// otherDevice makes a sandbox with a directory d on another file system.
func otherDevice(t *testing.T) string {
	t.Helper()
	sandbox := t.TempDir()
	dir := filepath.Join(sandbox, "d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a second file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	part := filepath.Join(sandbox, "part")
	if err := os.WriteFile(part, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(part, filepath.Join(dir, "part")); !errors.Is(err, syscall.EXDEV) {
		t.Fatalf("a rename into the mount: %v, want EXDEV", err)
	}
	if err := os.Remove(part); err != nil {
		t.Fatal(err)
	}
	return sandbox
}

func TestFilesAreCopiedToAnotherFileSystem(t *testing.T) {
	for _, conflict := range []string{"overwrite", "rename", "skip", "fail"} {
		t.Run(conflict, func(t *testing.T) {
			s := newSite(t, otherDevice(t))
			p := newSender(t, s)
			p.open.Conflict = conflict
			status, message := "complete", ""
			if conflict == "fail" {
				status, message = "error", `"/d/taken" exists already at the receiver`
			}
			if err := os.WriteFile(filepath.Join(s.Sandbox, "d/taken"), []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			p.begin(wire.Entry{Name: "/d/free", Size: 5, Mode: 0o640, ModTime: 1e18}, wire.Entry{Name: "/d/taken", Size: 3, Mode: 0o600, ModTime: 1e18})
			p.data(0, 0, []byte("first"))
			if conflict != "skip" { // it says so when it hears of the name
				p.data(1, 0, []byte("new"))
			}
			p.send(wire.TypeEnd, struct{}{})
			p.wantAnswer(status, message)
			want := map[string]string{"free": "first", "taken": "old"}
			switch conflict {
			case "overwrite":
				want["taken"] = "new"
			case "rename":
				want["taken (1)"] = "new"
			case "fail":
				delete(want, "free")
			}
			list, err := os.ReadDir(filepath.Join(s.Sandbox, "d"))
			if err != nil || len(list) != len(want) {
				t.Errorf("the other file system holds %v (%v), want %v", list, err, want)
			}
			for name, content := range want {
				if got, err := os.ReadFile(filepath.Join(s.Sandbox, "d", name)); string(got) != content {
					t.Errorf("%s holds %q (%v), want %q", name, got, err, content)
				}
			}
			if conflict == "fail" {
				return
			}
			info, err := os.Stat(filepath.Join(s.Sandbox, "d/free"))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != 0o640 || !info.ModTime().Equal(time.Unix(0, 1e18)) {
				t.Errorf("the copy has mode %v and is of %v", info.Mode(), info.ModTime())
			}
		})
	}
}

func TestFullFileSystemOfTheTargetFailsTheTransfer(t *testing.T) {
	s := newSite(t, otherDevice(t))
	fill := filepath.Join(s.Sandbox, "d/fill")
	if err := os.WriteFile(fill, make([]byte, 15<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/d/big", Size: 2 << 20, Mode: 0o600, ModTime: 1e18})
	for i := range int64(2) {
		p.data(0, i<<20, bytes.Repeat([]byte("data"), 1<<18))
	}
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("error", `the receiver's disk is full: "/d/big"`)
	row := s.Received(p.xfer)
	if row.Status != transfer.StatusError {
		t.Errorf("the transfer is %s", row.Status)
	}
	s.Stop()
	if list, _ := os.ReadDir(filepath.Dir(fill)); len(list) != 1 {
		t.Errorf("half a copy is left: %v", list)
	}
}

// TestCopyingSurvivesKillAtEachStep is TestFinishingSurvivesKillAtEachStep with
// a target on another file system.
func TestCopyingSurvivesKillAtEachStep(t *testing.T) {
	t.Run("overwrite", func(t *testing.T) {
		killWhileFinishing(t, otherDevice(t), "overwrite", []string{"put %s", "copied %s", "renamed %s", "removed %s", "placed %s"})
	})
	t.Run("rename", func(t *testing.T) {
		killWhileFinishing(t, otherDevice(t), "rename", []string{"put %s", "copied %s", "linked %s", "removed %s", "placed %s"})
	})
}
