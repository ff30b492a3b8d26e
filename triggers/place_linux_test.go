package triggers_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"jetstream/triggers"
)

// awaitFault waits until health says text.
func (r *rig) awaitFault(text string) {
	r.t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(time.Minute); ; <-again.C {
		h, err := r.Health(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		faults := strings.Join(h.Faults(), "; ")
		if strings.Contains(faults, text) {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("health does not say %q: %s", text, faults)
		}
	}
}

// commandEvent emits on.<command>.
func (r *rig) commandEvent(command string) {
	r.t.Helper()
	r.emit(triggers.CommandEvent(triggers.Command(command), triggers.CommandParams{
		Command: json.RawMessage(`{}`), Status: "success", Result: json.RawMessage(`{}`),
	}, triggers.Cause{}), nil)
}

// TestTriggerDirectoryThatIsGoneLosesNoEvent takes the directory away in all
// ways: what has a script, or may have one, is queued and waits, health says
// why, and when the directory is back each run ends as it should.
func TestTriggerDirectoryThatIsGoneLosesNoEvent(t *testing.T) {
	move := func(t *testing.T, r *rig) (back func()) {
		if err := os.Rename(r.dir, r.dir+".away"); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := errors.Join(os.RemoveAll(r.dir), os.Rename(r.dir+".away", r.dir)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, take := range map[string]func(t *testing.T, r *rig) (back func()){
		"renamed": move,
		"a file in its place": func(t *testing.T, r *rig) func() {
			back := move(t, r)
			r.write(r.dir, "", 0o600)
			return back
		},
		"a dangling link in its place": func(t *testing.T, r *rig) func() {
			back := move(t, r)
			if err := os.Symlink(r.dir+".nowhere", r.dir); err != nil {
				t.Fatal(err)
			}
			return back
		},
		"unmounted": func(t *testing.T, r *rig) func() {
			// Like a mount point before its mount: an empty directory elsewhere.
			if err := syscall.Mount("tmpfs", r.dir, "tmpfs", 0, "size=1m"); err != nil {
				t.Skipf("cannot mount here: %v", err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(r.dir, syscall.MNT_DETACH) })
			return func() {
				if err := syscall.Unmount(r.dir, 0); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "unmounted" && (os.Geteuid() != 0) {
				t.Skip("only root on Linux can mount")
			}
			r := newRig(t, nil)
			r.SetTimes(time.Minute, time.Second, 10*time.Millisecond)
			r.script("send.destinationCreated", "#!/bin/sh\n")
			r.script("on.mkdir", "#!/bin/sh\n")
			r.serve()
			r.commandEvent("mkdir") // its script has been seen
			r.succeeded()
			back := take(t, r)
			r.emit(triggers.SendDestinationCreated.Event(triggers.DestinationParams{}, triggers.Cause{}))
			r.emit(triggers.SendDestinationDeleted.Event(triggers.DestinationParams{}, triggers.Cause{}))
			r.commandEvent("mkdir")
			r.commandEvent("rm") // never had a script
			r.awaitFault("the trigger directory " + r.dir + " cannot be read")
			if runs, _, err := r.Runs(t.Context(), triggers.Filter{Limit: 10}); err != nil || len(runs) != 4 || slices.ContainsFunc(runs[:3], func(run triggers.Run) bool { return run.EndTime != 0 }) {
				t.Fatalf("while it is gone the queue is %+v (%v)", runs, err)
			}
			ev, err := triggers.SendDestinationCreated.Event(triggers.DestinationParams{}, triggers.Cause{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.EmitNow(t.Context(), ev); err == nil || !strings.Contains(err.Error(), "cannot be read") {
				t.Errorf("emitting answers %v", err)
			}
			back()
			for _, want := range []triggers.Status{triggers.StatusSuccess, triggers.StatusCancelled, triggers.StatusSuccess} {
				if run := r.ended(); run.Status != want {
					t.Errorf("%s ended as %s: %s; want %s", run.Event, run.Status, run.ErrorMessage, want)
				}
			}
			if n := strings.Count(r.log.String(), "level=ERROR"); n != 1 || !strings.Contains(r.log.String(), "the trigger directory cannot be read") {
				t.Errorf("%d lines were logged:\n%s", n, r.log)
			}
			if h, err := r.Health(t.Context()); err != nil || len(h.Faults()) != 0 {
				t.Errorf("with the directory back health says %v, %v", h.Faults(), err)
			}
		})
	}
}

// TestSpoolDirectoryThatIsGoneFailsNoRun: the run waits until it is back.
func TestSpoolDirectoryThatIsGoneFailsNoRun(t *testing.T) {
	r := newRig(t, nil)
	r.SetTimes(time.Minute, time.Second, 10*time.Millisecond)
	r.script("launch", "#!/bin/sh\n")
	r.serve()
	r.launch("1")
	r.succeeded()
	spool := filepath.Join(r.state, "spool")
	if err := os.Rename(spool, spool+".away"); err != nil {
		t.Fatal(err)
	}
	r.launch("2")
	r.awaitFault("cannot be spooled to " + spool)
	if err := os.Rename(spool+".away", spool); err != nil {
		t.Fatal(err)
	}
	r.succeeded()
}

// TestDirectoryIsCheckedBeforeEachRun: once others may write to it, no script
// of it runs, and none is failed for that.
func TestDirectoryIsCheckedBeforeEachRun(t *testing.T) {
	r := newRig(t, nil)
	r.SetTimes(time.Minute, time.Second, 10*time.Millisecond)
	r.script("launch", "#!/bin/sh\necho ran >> log.txt\n")
	r.serve()
	for _, mode := range []os.FileMode{0o777, 0o777 | os.ModeSticky, 0o770} {
		if err := os.Chmod(r.dir, mode); err != nil {
			t.Fatal(err)
		}
		r.launch("1")
		r.awaitFault("the trigger directory " + r.dir + " may be written by")
		if err := os.Chmod(r.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		r.succeeded()
	}
	if err := os.Chmod(r.dir, 0o770|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	r.launch("1") // members of the group can add files, and replace none
	r.succeeded()
}

// TestOthersCannotPutScriptsIntoASharedDirectory: members of its group may add
// files to a sticky directory; neither a link nor another name of a file that
// is the server's becomes a script by that.
func TestOthersCannotPutScriptsIntoASharedDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a link another user's")
	}
	r := newRig(t, nil)
	if err := os.Chmod(r.dir, 0o770|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	path := filepath.Join(r.dir, "launch")
	target := filepath.Join(outside, "target")
	r.write(target, "#!/bin/sh\necho ran >> log.txt\n", 0o700)
	hop := filepath.Join(outside, "hop")
	r.serve()
	for name, try := range map[string]struct {
		put  func() error
		part string
	}{
		"their link": {func() error { return errors.Join(os.Symlink(target, path), os.Lchown(path, 12345, 0)) }, "uid 12345"},
		"a link over their link": {func() error {
			return errors.Join(os.Symlink(target, hop), os.Lchown(hop, 12345, 0), os.Symlink(hop, path))
		}, "uid 12345"},
		"another name of a file": {func() error { return os.Link(target, path) }, "2 names"},
		"a file of the group": {func() error {
			return errors.Join(os.WriteFile(path, []byte("#!/bin/sh\n"), 0o770), os.Chmod(path, 0o770))
		}, "chmod g-w"},
	} {
		if err := try.put(); err != nil {
			t.Fatal(err)
		}
		r.launch(name)
		r.failed("is not run", try.part)
		found := triggers.Inspect(r.dir, eventNames(), "")
		if !slices.ContainsFunc(found, func(f triggers.Finding) bool {
			return f.Level == triggers.LevelError && strings.Contains(f.Message, try.part)
		}) {
			t.Errorf("%s: the doctor says %v", name, found)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	// A link of root's or the server's is a script.
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	r.launch("own link")
	r.succeeded()
	if got := r.read("log.txt"); got != "ran\n" {
		t.Errorf("the log is %q", got)
	}
}

// TestFilesThatComeAndGoWhileTheyAreListed: a file that went away since the
// directory was listed is no finding, and nothing breaks.
func TestFilesThatComeAndGoWhileTheyAreListed(t *testing.T) {
	r := newRig(t, nil)
	path := r.script("launch", "#!/usr/bin/env sh\n")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				if err := errors.Join(os.Rename(path, path+".away"), os.Rename(path+".away", path)); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	for range 2000 {
		scripts, others, err := r.Scripts(t.Context(), triggers.Definitions(), eventNames())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range scripts {
			if len(s.Problems) > 0 {
				t.Fatalf("a finding: %v", s.Problems)
			}
		}
		for _, f := range others {
			if f.File != "launch.away" {
				t.Fatalf("a finding: %v", f)
			}
		}
	}
	close(stop)
	<-stopped
}
