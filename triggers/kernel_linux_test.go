package triggers_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"jetstream/triggers"
)

func TestFileListTooLargeForTheDiskFailsItsRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	many := listFunc(func(yield func(triggers.ListedFile, error) bool) {
		for i := range 1_000_000 {
			if !yield(triggers.ListedFile{ManifestFile: "some/long/name", FilePath: fmt.Sprintf("/srv/in/some/long/name/%d", i)}, nil) {
				return
			}
		}
	})
	r := newRig(t, func(o *triggers.Options) {
		o.StateDir = t.TempDir()
		if err := syscall.Mount("tmpfs", o.StateDir, "tmpfs", 0, "size=16m"); err != nil {
			t.Skipf("cannot mount a tmpfs here: %v", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(o.StateDir, syscall.MNT_DETACH) })
		o.Files = many
	})
	r.script("recv.transferComplete", "#!/bin/sh\n")
	r.script("launch", "#!/bin/sh\n")
	r.serve()
	r.emit(triggers.RecvTransferComplete.Event(triggers.TransferParams{}, triggers.Cause{Subject: "received"}))
	r.launch("1")
	r.failed("no space left", "free space")
	r.succeeded() // what was spooled before is gone again
}

// fullSpool is a rig with the spool on a disk of its own, which is full until
// empty is called. The queue has found the disk full with launch 2, and checks
// it again at that interval.
func fullSpool(t *testing.T, again time.Duration, change func(*triggers.Options)) (r *rig, empty func()) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) })
	r = newRig(t, func(o *triggers.Options) {
		o.StateDir = small
		if change != nil {
			change(o)
		}
	})
	r.SetTimes(time.Minute, time.Second, again)
	r.script("launch", "#!/bin/sh\necho $1 >> ran.txt\n")
	r.serve()
	r.launch("1")
	r.succeeded()
	fill := filepath.Join(small, "fill")
	if err := os.WriteFile(fill, make([]byte, 3<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk could not be filled: %v", err)
	}
	r.launch("2")
	r.launch("3")
	for !strings.Contains(r.log.String(), "the trigger queue waits") {
		select {
		case <-r.log.wrote:
		case run := <-r.marks:
			if run.EndTime != 0 {
				t.Fatalf("on a full disk the run ended as %s: %s", run.Status, run.ErrorMessage)
			}
		}
	}
	return r, func() {
		if err := os.Remove(fill); err != nil {
			t.Fatal(err)
		}
	}
}

// While the disk is full no run fails because its files cannot be written.
func TestFullDiskPausesTheQueue(t *testing.T) {
	r, empty := fullSpool(t, 10*time.Millisecond, nil)
	h, err := r.Health(t.Context())
	if err != nil || !h.SaveFailing || len(h.Faults()) != 1 || h.Waiting != 1 {
		t.Errorf("health is %+v, %v", h, err)
	}
	empty()
	r.succeeded()
	r.succeeded()
	if got := r.read("ran.txt"); got != "1\n2\n3\n" {
		t.Errorf("ran for %q", got)
	}
	if h, err := r.Health(t.Context()); err != nil || h.SaveFailing {
		t.Errorf("with room again health is %+v, %v", h, err)
	}
	if n := strings.Count(r.log.String(), "the trigger queue waits"); n != 1 {
		t.Errorf("the log says so %d times, want once a minute:\n%s", n, r.log)
	}
}

// Health reports a full spool also while events can be saved in the database.
func TestFullSpoolTurnsHealthRed(t *testing.T) {
	r, _ := fullSpool(t, time.Hour, nil)
	r.launch("4")
	if h, err := r.Health(t.Context()); err != nil || !h.SaveFailing || h.Waiting != 2 {
		t.Errorf("health is %+v, %v", h, err)
	}
	r.end()
	if h, err := r.Health(t.Context()); err != nil || h.SaveFailing {
		t.Errorf("when nothing waits for the disk any more health is %+v, %v", h, err)
	}
}

func TestWaitForTheDiskCanBeEnded(t *testing.T) {
	r, _ := fullSpool(t, 10*time.Millisecond, func(o *triggers.Options) { o.ShutdownGrace = time.Hour })
	h, err := r.Health(t.Context())
	if err != nil || len(h.Running) != 1 {
		t.Fatalf("health is %+v, %v", h, err)
	}
	if _, err := r.Cancel(t.Context(), h.Running[0].RunID, "ann"); err != nil {
		t.Fatal(err)
	}
	if run := r.ended(); run.Status != triggers.StatusCancelled || !strings.Contains(run.ErrorMessage, "cancelled by ann") {
		t.Errorf("the run ended as %s: %s", run.Status, run.ErrorMessage)
	}
	r.script("send.destinationCreated", "#!/bin/sh\n")
	r.created("waits", "")
	begun := func() triggers.Run {
		return r.await("running", func(run triggers.Run) bool { return run.Status == triggers.StatusRunning })
	}
	for run := begun(); run.Event == "launch"; run = begun() {
		if _, err := r.Cancel(t.Context(), run.RunID, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	r.end()
	last := r.await("interrupted", func(run triggers.Run) bool { return run.Event != "launch" && run.EndTime != 0 })
	if n, err := r.Waiting(t.Context()); last.Status != triggers.StatusInterrupted || n != 1 || err != nil {
		t.Errorf("the run ended as %s: %s; %d wait (%v)", last.Status, last.ErrorMessage, n, err)
	}
}

// The engine is the first process of a PID namespace.
func TestPIDOneReapsOrphans(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a PID namespace")
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "TRIGGERS_TEST_ROLE=pid1", "TRIGGERS_TEST_DIR="+t.TempDir(), "TRIGGERS_TEST_STATE="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if strings.Contains(err.Error(), "operation not permitted") {
			t.Skipf("cannot make a PID namespace here: %v", err)
		}
		t.Fatalf("%v\n%s", err, &out)
	}
	if !strings.Contains(out.String(), "orphan reaped, exit status 7 kept") {
		t.Errorf("the first process said: %s", &out)
	}
}

func TestDoctorFindsAMountWithoutExec(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOEXEC, "size=1m,mode=755"); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	r := rigIn(t, dir, t.TempDir(), nil)
	r.script("launch", "#!/bin/sh\n")
	found := triggers.Inspect(dir, []string{"launch"}, "")
	if len(found) != 1 || found[0].Level != triggers.LevelError || !strings.Contains(found[0].Message, "mounted with noexec") {
		t.Errorf("the doctor finds %+v", found)
	}
	r.launch("1")
	r.serve()
	r.failed("mount options")
}
