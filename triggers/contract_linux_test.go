package triggers_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// The next process of the server starts with a clock that is 25 years behind
// the queued events.
func TestClockSetBackDoesNotChangeTheOrder(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	before := rigIn(t, dir, state, nil)
	before.script("send.destinationCreated", "#!/bin/sh\necho $1 >> order.txt\n")
	before.created("a", "")
	before.created("b", "")
	before.close()
	now := api.Now()
	synctest.Test(t, func(t *testing.T) {
		after := rigIn(t, dir, state, nil)
		if api.Now() >= now {
			t.Fatal("the clock was not set back; this test shows nothing")
		}
		after.created("c", "")
		after.created("d", "")
		after.serve()
		for range 4 {
			after.succeeded()
		}
		after.end()
	})
	if got := before.read("order.txt"); got != "a\nb\nc\nd\n" {
		t.Errorf("ran in the order %q", got)
	}
}

func TestEventOnAFullDiskIsDroppedAndReported(t *testing.T) {
	state := t.TempDir()
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(state, syscall.MNT_DETACH) })
	r := rigIn(t, t.TempDir(), state, nil)
	r.script("on.send.createManifest", "#!/bin/sh\n")
	r.script("send.destinationCreated", "#!/bin/sh\n")
	fill := filepath.Join(state, "fill")
	if err := os.WriteFile(fill, make([]byte, 17<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk could not be filled: %v", err)
	}
	large, err := commandEvent(`{"a":"`+strings.Repeat("x", 1<<20)+`"}`, "", `{}`, triggers.Cause{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Emit(t.Context(), large); err == nil || !strings.Contains(r.log.String(), "event dropped") || !strings.Contains(r.log.String(), "full") {
		t.Errorf("an event on a full disk: %v; log:\n%s", err, r.log)
	}
	h, err := r.Health(t.Context())
	if err != nil || !h.SaveFailing || h.Dropped[triggers.DropUnsaved] != 1 || len(h.Faults()) != 1 {
		t.Errorf("health is %+v, %v", h, err)
	}
	if _, err := r.EmitNow(t.Context(), large); code(err) != api.CodeUnavailable || !strings.Contains(api.ErrorOf(err).Message, "disk is full") {
		t.Errorf("asked for on a full disk: %v", err)
	}
	// A state change fails with its event.
	made, _ := triggers.SendDestinationCreated.Event(triggers.DestinationParams{Destination: strings.Repeat("x", 1<<20)}, triggers.Cause{})
	if err := r.db.Runs().Update(t.Context(), func(tx triggers.Tx) error { return r.Queue(tx, made) }); err == nil {
		t.Error("a state change was saved on a full disk")
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	r.emit(large, nil)
	if h, err := r.Health(t.Context()); err != nil || h.SaveFailing || h.Waiting != 1 {
		t.Errorf("with room again health is %+v, %v", h, err)
	}
	r.serve()
	r.succeeded()
}

func TestRecoveryWaitsForAFullDisk(t *testing.T) {
	state := t.TempDir()
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(state, syscall.MNT_DETACH) })
	former := rigIn(t, t.TempDir(), state, func(o *triggers.Options) { o.ProcessID = "former" })
	former.script("launch", "#!/bin/sh\n")
	for range 200 {
		former.launch(strings.Repeat("1", 1000))
	}
	former.close()
	r := rigIn(t, former.dir, state, nil)
	r.SetTimes(time.Minute, time.Second, 10*time.Millisecond)
	r.launch("2")
	fill := filepath.Join(state, "fill")
	if err := os.WriteFile(fill, make([]byte, 17<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk could not be filled: %v", err)
	}
	r.serve()
	for !strings.Contains(r.log.String(), "the trigger queue waits") {
		select {
		case <-r.log.wrote:
		case <-r.served:
			t.Fatal("it did not wait for room")
		}
	}
	if h, err := r.Health(t.Context()); err != nil || !h.SaveFailing || h.Waiting != 201 {
		t.Errorf("health is %+v, %v", h, err)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	if run := r.succeeded(); !strings.Contains(string(run.Parameters), `"2"`) {
		t.Errorf("the launch of a former process ran: %s", run.Parameters)
	}
	if h, err := r.Health(t.Context()); err != nil || h.SaveFailing || h.Waiting != 0 {
		t.Errorf("with room again health is %+v, %v", h, err)
	}
}

// A background child that has the output open may take longer than the timeout.
func TestTimeoutCountsToTheScriptsOwnExit(t *testing.T) {
	inTime(t, func(limit time.Duration) bool {
		r := newRig(t, func(o *triggers.Options) { o.Timeout = limit })
		r.SetTimes(time.Minute, 2*limit, time.Second)
		gate := r.fifo("gate")
		r.script("launch", "#!/bin/sh\n(read x < gate) &\n")
		r.serve()
		r.launch("1")
		run := r.ended()
		if run.Status == triggers.StatusTimeout {
			return false // also, each time, where the limit counts to the output's end
		}
		if run.Status != triggers.StatusSuccess || run.EndTime.Std().Sub(run.StartTime.Std()) < limit {
			t.Errorf("nothing was slower than the limit: %+v", run)
		}
		open(t, gate) // the child that kept the output is still there
		return true
	})
}

func TestDurationsAreThoseOfTheContract(t *testing.T) {
	if got := triggers.Times(newRig(t, nil).Engine); got != [2]time.Duration{time.Minute, 2 * time.Second} {
		t.Errorf("a script is slow after, and its output waited for: %v", got)
	}
	if triggers.DefaultGrace != 5*time.Second || triggers.DefaultShutdownGrace != 30*time.Second || triggers.DefaultKeep != 10_000 ||
		triggers.DefaultQueueMax != 100_000 || triggers.DefaultConcurrency != 4 || triggers.MaxDepth != 8 || triggers.MaxKeptBytes != 1<<30 ||
		triggers.Kept != 16<<10 || triggers.MaxArgument != 64<<10 {
		t.Error("a limit is not the contract's")
	}
}

func TestScriptGetsTheCertificateToTrust(t *testing.T) {
	r := newRig(t, nil)
	r.SetAPI(triggers.APIAccess{Host: "localhost", Port: 1, CAFile: "/etc/jetstream/cert.pem"})
	r.script("launch", "#!/bin/sh\necho $JETSTREAM_API_HOST:$JETSTREAM_API_PORT $JETSTREAM_API_CA\n")
	r.serve()
	r.launch("1")
	if run := r.succeeded(); run.Stdout.Text != "localhost:1 /etc/jetstream/cert.pem\n" {
		t.Errorf("the script was told %q", run.Stdout.Text)
	}
}

func TestScriptMayBeALink(t *testing.T) {
	r := newRig(t, nil)
	elsewhere := filepath.Join(t.TempDir(), "launched.sh")
	r.write(elsewhere, "#!/bin/sh\necho \"$0\"\n", 0o700)
	if err := os.Symlink(elsewhere, filepath.Join(r.dir, "launch")); err != nil {
		t.Fatal(err)
	}
	r.serve()
	r.launch("1")
	if run := r.succeeded(); run.Stdout.Text != filepath.Join(r.dir, "launch")+"\n" {
		t.Errorf("run as %q", run.Stdout.Text)
	}
}

func TestScriptsInheritOnlyNamedVariables(t *testing.T) {
	inherited := []string{"PATH=/bin:/usr/bin", "HOME=/h", "USER=u", "LANG=C", "LC_TIME=C", "TZ=UTC", "TMPDIR=/tmp",
		"SystemRoot=s", "ComSpec=c", "PATHEXT=p", "TEMP=t", "TMP=t", "NAMED=n"}
	r := newRig(t, func(o *triggers.Options) {
		o.Environ = append([]string{"SECRET=s", "SHELL=/x", "LANGUAGE=x", "JETSTREAM_SERVER_LOG=x", "AWS_SECRET_ACCESS_KEY=x"}, inherited...)
		o.Env = []string{"NAMED"}
	})
	r.script("launch", "#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/environ | grep -v ^JETSTREAM_\n")
	r.serve()
	r.launch("1")
	want := strings.Join(inherited, "\n") + "\n"
	if run := r.succeeded(); run.Stdout.Text != want {
		t.Errorf("the script inherited\n%swant\n%s", run.Stdout.Text, want)
	}
}

func TestRetryIsQueuedLast(t *testing.T) {
	r := newRig(t, nil)
	gate := r.fifo("gate")
	r.script("send.destinationCreated", "#!/bin/sh\ncase $1 in hang) read x < gate ;; esac\necho $1 $JETSTREAM_ATTEMPT >> order.txt\ncase $1 in a) exit 1 ;; esac\n")
	r.serve()
	r.created("a", "")
	failed := r.failed("exit status 1")
	for _, name := range []string{"hang", "b"} {
		r.created(name, "")
	}
	r.started()
	if _, err := r.Retry(t.Context(), failed.RunID); err != nil {
		t.Fatal(err)
	}
	r.created("c", "")
	open(t, gate)
	for range 4 {
		r.ended()
	}
	if got := r.read("order.txt"); got != "a 1\nhang 1\nb 1\na 2\nc 1\n" {
		t.Errorf("ran in the order %q", got)
	}
	if n, err := r.Waiting(t.Context()); n != 0 || err != nil {
		t.Errorf("%d wait (%v): what failed is not tried again by itself", n, err)
	}
}

func TestMemoryOfAMillionLinesIsBounded(t *testing.T) {
	n := 1_000_000
	if underRace {
		n = 100_000
	}
	r := newRig(t, func(o *triggers.Options) {
		o.Files = listFunc(func(yield func(triggers.ListedFile, error) bool) {
			for i := range n {
				name := fmt.Sprintf("reel/%09d.dpx", i)
				if !yield(triggers.ListedFile{ManifestFile: name, FilePath: "/srv/in/" + name, Path: "/" + name, Size: 1}, nil) {
					return
				}
			}
		})
	})
	r.script("recv.transferComplete", "#!/bin/sh\nwc -l\nwc -l < $JETSTREAM_FILE_LIST\n")
	r.serve()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r.emit(triggers.RecvTransferComplete.Event(triggers.TransferParams{}, triggers.Cause{Subject: "s"}))
	run := r.succeeded()
	runtime.ReadMemStats(&after)
	if want := fmt.Sprintf("%d\n%[1]d\n", n); run.Stdout.Text != want {
		t.Errorf("the script counted %q, want %q", run.Stdout.Text, want)
	}
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 20<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}
