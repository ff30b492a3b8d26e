package triggers_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"jetstream/triggers"
)

func TestSpoolOnAFullDisk(t *testing.T) {
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

// TestPIDOneReaps runs an engine as the first process of a PID namespace of its
// own, where orphans are nobody else's.
func TestPIDOneReaps(t *testing.T) {
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
