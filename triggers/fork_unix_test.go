//go:build unix

package triggers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"jetstream/internal/store"
	"jetstream/triggers"
)

// nobody is the uid of a user without files, to whom limits apply.
const nobody = 65534

// TestNoProcessesLeft runs an engine as a user whose process limit is reached.
func TestNoProcessesLeft(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root on Linux can become another user by /proc/self/exe")
	}
	dir, state := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, state} {
		if err := errors.Join(os.Chown(d, nobody, nobody), os.Chmod(d, 0o700), os.Chmod(filepath.Dir(d), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "TRIGGERS_TEST_ROLE=nproc", "TRIGGERS_TEST_DIR="+dir, "TRIGGERS_TEST_STATE="+state)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if !strings.Contains(out.String(), "fork failed and the run waited") {
		t.Errorf("the engine said: %s", &out)
	}
}

// outOfProcesses runs a script while no process can be started: the run waits,
// and succeeds once one can.
func outOfProcesses(dir, state string) error {
	db, err := store.Open(context.Background(), state)
	if err != nil {
		return err
	}
	defer db.Close()
	ended := make(chan triggers.Run, 1)
	e, err := triggers.New(triggers.Options{Dir: dir, StateDir: state, Store: db.Runs(), Environ: os.Environ(), ProcessID: "outOfProcesses",
		Ended: func(r triggers.Run, _ time.Duration) { ended <- r }})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "launch"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- e.Serve(ctx) }()
	manyThreads()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NPROC, &limit); err != nil {
		return err
	}
	one := limit
	one.Cur = 1
	if err := syscall.Setrlimit(unix.RLIMIT_NPROC, &one); err != nil {
		return err
	}
	ev, err := triggers.Launch.Event(triggers.LaunchParams{}, triggers.Cause{})
	if err == nil {
		err = e.Emit(ctx, ev)
	}
	if err != nil {
		return err
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for waits := false; !waits; {
		select {
		case r := <-ended:
			return fmt.Errorf("without a process left the run ended as %s: %s", r.Status, r.ErrorMessage)
		case <-again.C:
		}
		h, err := e.Health(ctx)
		if err != nil {
			return err
		}
		waits = strings.Contains(strings.Join(h.Faults(), ""), "no further process can be started")
	}
	if err := syscall.Setrlimit(unix.RLIMIT_NPROC, &limit); err != nil {
		return err
	}
	if r := <-ended; r.Status != triggers.StatusSuccess {
		return fmt.Errorf("with processes left the run ended as %s: %s", r.Status, r.ErrorMessage)
	}
	cancel()
	if err := <-served; err != nil {
		return err
	}
	fmt.Println("fork failed and the run waited")
	return nil
}

// manyThreads makes the runtime start many threads, since it would crash if it
// could not start one later.
func manyThreads() {
	var ready, done sync.WaitGroup
	release := make(chan struct{})
	const n = 40
	ready.Add(n)
	for range n {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready.Done()
			<-release
		})
	}
	ready.Wait()
	close(release)
	done.Wait()
}
