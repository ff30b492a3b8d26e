package triggers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"jetstream/internal/store"
	"jetstream/triggers"
)

// pseudoTerminal opens a terminal: person is the side of its user.
func pseudoTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine gives no terminal: %v", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	fd := int(person.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

// A server in the foreground of a terminal: a script that reads the terminal
// would be stopped as a background job of it, and the queue would wait for ever.
func TestScriptThatOpensTheTerminalIsNotStopped(t *testing.T) {
	r := newRig(t, nil)
	r.script("launch", "#!/bin/sh\nif (read x < /dev/tty) 2> /dev/null; then echo read $x; else echo none; fi\n")
	r.close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, program := pseudoTerminal(t)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "TRIGGERS_TEST_ROLE=terminal", "TRIGGERS_TEST_DIR="+r.dir, "TRIGGERS_TEST_STATE="+r.state)
	cmd.Stdin = program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil || !strings.Contains(said.String(), "success none\n") {
		t.Errorf("the server says %q (%v), want that the script had no terminal", said.String(), err)
	}
}

// serverAtTerminal executes one launch and prints how its script ended. A
// stopped script ends by the timeout.
func serverAtTerminal(dir, state string) error {
	db, err := store.Open(context.Background(), state)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	e, err := triggers.New(triggers.Options{
		Dir: dir, StateDir: state, Store: db.Runs(), Environ: os.Environ(), Timeout: time.Minute,
		Ended: func(r triggers.Run, _ time.Duration) {
			fmt.Print(r.Status, " ", r.Stdout.Text)
			stop()
		},
	})
	if err != nil {
		return err
	}
	ev, err := triggers.Launch.Event(triggers.LaunchParams{Port: "1"}, triggers.Cause{})
	if err == nil {
		err = e.Emit(ctx, ev)
	}
	if err != nil {
		return err
	}
	return e.Serve(ctx)
}

func TestStoppedScriptHandlesTheTermination(t *testing.T) {
	inTime(t, func(limit time.Duration) bool {
		r := newRig(t, func(o *triggers.Options) { o.Timeout, o.Grace = limit, 20*time.Second })
		r.script("launch", "#!/bin/sh\ntrap 'echo bye; exit 5' TERM\necho ready\nkill -STOP $$\nexit 6\n")
		r.serve()
		r.launch("1")
		run := r.ended()
		if !strings.Contains(run.Stdout.Text, "ready") {
			return false
		}
		if run.Status != triggers.StatusTimeout || run.ExitCode == nil || *run.ExitCode != 5 || run.Stdout.Text != "ready\nbye\n" {
			t.Errorf("run ended as %+v", run)
		}
		return true
	})
}
