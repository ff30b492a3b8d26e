//go:build unix

package triggers_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"jetstream/triggers"
)

func (r *rig) fifo(name string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// open opens the fifo for writing, which releases its reader.
func open(t *testing.T, fifo string) {
	t.Helper()
	if err := os.WriteFile(fifo, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// notForSh installs a script that begins with a #! which the kernel does not take;
// sh would run its next line.
func notForSh(start string) func(r *rig, path string) error {
	return func(r *rig, path string) error {
		r.script("launch", start+"\ntouch run-by-sh\n")
		return nil
	}
}

func TestScriptsThatCannotRunSayWhy(t *testing.T) {
	for name, c := range map[string]struct {
		make func(r *rig, path string) error
		want string
	}{
		"interpreter missing": {func(r *rig, path string) error { r.script("launch", "#!/no/such/sh\n"); return nil }, "interpreter /no/such/sh"},
		"CRLF":                {func(r *rig, path string) error { r.script("launch", "#!/bin/sh\r\necho\r\n"); return nil }, "CR LF"},
		"nothing but CR":      {func(r *rig, path string) error { r.script("launch", "#!\r\necho\r\n"); return nil }, "CR LF"},
		"not executable":      {func(r *rig, path string) error { r.write(path, "#!/bin/sh\n", 0o644); return nil }, "chmod +x"},
		"directory":           {func(r *rig, path string) error { return os.Mkdir(path, 0o755) }, "is a directory"},
		"dangling link":       {func(r *rig, path string) error { return os.Symlink("nowhere", path) }, "link to a file that does not exist"},
		"fifo":                {func(r *rig, path string) error { return syscall.Mkfifo(path, 0o755) }, "not a regular file"},
		"writable by all":     {func(r *rig, path string) error { r.write(path, "#!/bin/sh\n", 0o757); return nil }, "chmod o-w"},
		"byte order mark":     {notForSh("\uFEFF#!/usr/bin/env python3\n"), "begins with a byte order mark"},
		"mark without #!":     {notForSh("\uFEFFecho\n"), "begins with a byte order mark"},
		"UTF-16, little":      {notForSh("\xff\xfe#\x00!\x00/\x00b\x00i\x00n\x00/\x00s\x00h\x00\n\x00"), "it is UTF-16"},
		"UTF-16, big":         {notForSh("\xfe\xff\x00#\x00!\x00/\x00b\x00i\x00n\x00/\x00s\x00h\x00\n"), "it is UTF-16"},
		"UTF-16 unmarked":     {notForSh("#\x00!\x00/\x00b\x00i\x00n\x00/\x00s\x00h\x00\n\x00"), "it is UTF-16"},
		"UTF-16BE unmarked":   {notForSh("\x00#\x00!\x00/\x00b\x00i\x00n\x00/\x00s\x00h\x00\n"), "it is UTF-16"},
		"long first line":     {notForSh("#!/" + strings.Repeat("./", 127) + "bin/sh\n"), "longer than 255 bytes"},
		"endless first line":  {notForSh("#!/" + strings.Repeat("x", 10_000)), "longer than 255 bytes"},
		"empty line first":    {notForSh("\n#!/usr/bin/python3\n"), "not at the very beginning"},
		"space first":         {notForSh(" #!/usr/bin/python3\n"), "not at the very beginning"},
		"zero-width first":    {notForSh("\u200b#!/usr/bin/python3\n"), "not at the very beginning"},
		"no interpreter":      {notForSh("#!\n"), "names no interpreter"},
		"foreign interpreter": {func(r *rig, path string) error {
			r.write(path+".interpreter", "\x7fNOT\x00\x01\x02", 0o755)
			return notForSh("#!"+path+".interpreter\n")(r, path)
		}, "is no program that this machine can run"},
		"foreign machine": {func(r *rig, path string) error { r.script("launch", "\x7fNOT\x00\x01\x02"); return nil }, "cannot run"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			if err := c.make(r, filepath.Join(r.dir, "launch")); err != nil {
				t.Fatal(err)
			}
			r.launch("1")
			r.serve()
			run := r.failed(c.want, "launch")
			if run.ExitCode != nil || run.Signal != "" || run.PID != 0 {
				t.Errorf("nothing ran, but the record has %+v", run)
			}
			r.spoolIsEmpty()
			if _, err := os.Stat(filepath.Join(r.dir, "run-by-sh")); err == nil {
				t.Error("sh ran the file")
			}
		})
	}
}

func TestScriptOfAnotherUserIsNotRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a file another user's")
	}
	r := newRig(t, nil)
	if err := os.Chown(r.script("launch", "#!/bin/sh\n"), 12345, 0); err != nil {
		t.Fatal(err)
	}
	r.launch("1")
	r.serve()
	r.failed("uid 12345")
}

func TestMissingScriptCancelsItsRun(t *testing.T) {
	r := newRig(t, nil)
	path := r.script("launch", "#!/bin/sh\n")
	r.launch("1")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.serve()
	if run := r.ended(); run.Status != triggers.StatusCancelled || !strings.Contains(run.ErrorMessage, path+" does not exist") {
		t.Errorf("run ended as %s: %s", run.Status, run.ErrorMessage)
	}
}

func TestScriptRemovedAfterTheCheckFailsItsRun(t *testing.T) {
	var path string
	r := newRig(t, func(o *triggers.Options) {
		// The list is spooled after the check and before the start.
		o.Files = listFunc(func(yield func(triggers.ListedFile, error) bool) { _ = os.Remove(path) })
	})
	path = r.script("recv.transferComplete", "#!/bin/sh\n")
	r.serve()
	r.emit(triggers.RecvTransferComplete.Event(triggers.TransferParams{}, triggers.Cause{Subject: "received"}))
	r.failed("is gone")
}

type listFunc func(yield func(triggers.ListedFile, error) bool)

func (l listFunc) List(context.Context, string) iter.Seq2[triggers.ListedFile, error] {
	return iter.Seq2[triggers.ListedFile, error](l)
}

func TestPanicIsRecordedAndTheQueueGoesOn(t *testing.T) {
	r := newRig(t, func(o *triggers.Options) {
		o.Files = listFunc(func(yield func(triggers.ListedFile, error) bool) { panic("lister fell over") })
	})
	r.script("recv.transferComplete", "#!/bin/sh\n")
	r.script("launch", "#!/bin/sh\n")
	r.serve()
	r.emit(triggers.RecvTransferComplete.Event(triggers.TransferParams{}, triggers.Cause{Subject: "received"}))
	r.launch("1")
	r.failed("lister fell over")
	r.succeeded()
	r.spoolIsEmpty()
}

func TestPanicAfterTheStartEndsTheScript(t *testing.T) {
	r := newRig(t, func(o *triggers.Options) {
		w := o.Store.(*watched)
		w.Store = panicStore{w.Store}
	})
	r.fifo("never")
	r.script("launch", "#!/bin/sh\ncat never\n")
	r.launch("1")
	r.serve()
	if run := r.failed("no disk"); run.Signal != "SIGKILL" {
		t.Errorf("the script ended by %q", run.Signal)
	}
	r.launch("2")
	r.failed()
}

// panicStore is a store that panics when it saves the pid of a script.
type panicStore struct{ triggers.Store }

func (p panicStore) MarkProcess(*triggers.Run) error { panic("no disk") }

func TestTextBusyIsRetried(t *testing.T) {
	r := newRig(t, nil)
	path := r.script("launch", "#!/bin/sh\n")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := os.StartProcess(path, []string{path}, &os.ProcAttr{}); err == nil {
		t.Skip("this kernel starts files that are open for writing")
	}
	r.launch("stays busy")
	r.serve()
	busy := r.failed("open for writing")
	if tried := busy.EndTime.Std().Sub(busy.StartTime.Std()); tried < 100*time.Millisecond {
		t.Errorf("given up after %v, before anybody could have closed the file", tried)
	}
	// A run that is retried when the file becomes free succeeds. On a busy
	// machine its last retry may have been before that.
	for end := time.Now().Add(time.Minute); ; {
		r.launch("becomes free")
		r.await("running", func(run triggers.Run) bool { return run.Status == triggers.StatusRunning })
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		freed := time.Now()
		run := r.ended()
		if run.Status == triggers.StatusSuccess {
			return
		}
		if late := freed.Sub(run.StartTime.Std()) > 100*time.Millisecond; !late || time.Now().After(end) {
			t.Fatalf("the run ended as %s: %s", run.Status, run.ErrorMessage)
		}
		if f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOversizeArgumentsAreReplaced(t *testing.T) {
	for _, n := range []int{131_071, 131_072} {
		_, err := os.StartProcess("/bin/true", []string{"true", strings.Repeat("x", n)}, &os.ProcAttr{})
		t.Logf("the kernel's own answer to an argument of %d bytes: %v", n, err)
	}
	r := newRig(t, nil)
	r.script("on.send.createManifest", "#!/bin/sh\necho ${#1} ${#3} ${#4} $4\nwc -c\nwc -c < $JETSTREAM_PAYLOAD\n")
	r.serve()
	for _, n := range []int{100, triggers.MaxArgument, triggers.MaxArgument + 1, 131_071, 131_072, 3_000_000} {
		object := `{"a":"` + strings.Repeat("x", n-8) + `"}`
		e, err := commandEvent(object, strings.Repeat("y", n), object, triggers.Cause{})
		r.emit(e, err)
		run := r.succeeded()
		lengths, result := fmt.Sprintf("%d %d %d ", n, n, n), object
		if n > triggers.MaxArgument {
			result = fmt.Sprintf(`{"truncated":true,"bytes":%d}`, n)
			lengths = fmt.Sprintf("%d %d %d ", len(result), len(result), len(result))
		}
		out, _, _ := strings.Cut(run.Stdout.Text, "\n")
		if n < triggers.Kept && out != lengths+result || n > triggers.MaxArgument && out != lengths+result {
			t.Errorf("%d bytes: the script saw %q", n, out)
		}
		if total := fmt.Sprintf("\n%d\n%[1]d\n", len(e.Parameters)+1); !strings.HasSuffix(run.Stdout.Text, total) {
			t.Errorf("%d bytes: stdin and payload were not whole: %q", n, run.Stdout.Text[max(0, len(run.Stdout.Text)-40):])
		}
	}
}

func TestUnreadStdinDoesNotBlock(t *testing.T) {
	r := newRig(t, nil)
	r.script("on.send.createManifest", "#!/bin/sh\nexit 7\n")
	r.serve()
	r.emit(commandEvent(`{"a":"`+strings.Repeat("x", 10<<20)+`"}`, "", `{}`, triggers.Cause{}))
	r.failed("exit status 7")
}

func TestStrangeNamesReachTheScriptUnchanged(t *testing.T) {
	r := newRig(t, nil)
	r.script("recv.transferComplete", "#!/bin/sh\nprintf '%s|%s' \"$1\" \"$2\"\n")
	r.serve()
	r.emit(triggers.RecvTransferComplete.Event(triggers.TransferParams{TransferID: "-rf", Username: "a\x00b;$(id)`id`"},
		triggers.Cause{User: "a\x00b", RequestID: "\x00"}))
	r.failed("keeps no file lists") // no Lister was given: said, not skipped
	r.script("launch", "#!/bin/sh\nprintf '%s|%s' \"$1\" \"$JETSTREAM_EVENT_USER\"\n")
	r.emit(triggers.Launch.Event(triggers.LaunchParams{Port: "-rf\x00\xff;$(id)"}, triggers.Cause{User: "a\x00b"}))
	if run := r.succeeded(); run.Stdout.Text != "-rf\uFFFD\uFFFD;$(id)|a\uFFFDb" {
		t.Errorf("the script saw %q", run.Stdout.Text)
	}
}

func TestInvalidUTF8IsReplacedInTheRecord(t *testing.T) {
	r := newRig(t, nil)
	r.script("launch", "#!/bin/sh\nprintf 'a\\377\\000b'\n")
	r.serve()
	r.launch("1")
	if run := r.succeeded(); run.Stdout.Text != "a\uFFFD\x00b" {
		t.Errorf("stdout is kept as %q", run.Stdout.Text)
	}
}

func TestSignalIsRecorded(t *testing.T) {
	r := newRig(t, nil)
	r.script("launch", "#!/bin/sh\nkill -SEGV $$\n")
	r.serve()
	r.launch("1")
	if run := r.failed("SIGSEGV"); run.Signal != "SIGSEGV" || run.ExitCode != nil {
		t.Errorf("record is %+v", run)
	}
}

func TestBackgroundChildDoesNotHoldUpTheQueue(t *testing.T) {
	r := newRig(t, nil)
	gate, said := r.fifo("gate"), r.fifo("said")
	r.script("launch", "#!/bin/sh\necho first\n(read x < gate; seq 1 100000; echo alive > said) &\n")
	r.serve()
	r.launch("1")
	run := r.succeeded()
	if run.Stdout.Text != "first\n" {
		t.Errorf("stdout is %q", run.Stdout.Text)
	}
	open(t, gate)
	// The child was not ended, and more output than a pipe holds was drained.
	if b, err := os.ReadFile(said); string(b) != "alive\n" || err != nil {
		t.Errorf("the child said %q (%v)", b, err)
	}
	if again, err := r.Run(t.Context(), run.RunID); err != nil || again.Stdout.Text != "first\n" {
		t.Errorf("the record changed after its end: %q (%v)", again.Stdout.Text, err)
	}
}

func TestStopDoesNotWaitForABackgroundChild(t *testing.T) {
	r := newRig(t, nil)
	r.SetTimes(time.Minute, time.Millisecond, time.Second)
	gate := r.fifo("gate")
	r.script("launch", "#!/bin/sh\n(read x < gate) &\n")
	r.serve()
	r.launch("1")
	r.succeeded()
	r.end()
	open(t, gate) // it is still there to read
}

func TestGigabyteOfOutputIsBounded(t *testing.T) {
	r := newRig(t, func(o *triggers.Options) { o.LogRuns, o.Console = true, io.Discard })
	const total = 1_000_000_000
	r.script("launch", "#!/bin/sh\nprintf begin\nhead -c "+strconv.Itoa(total)+" /dev/zero\nprintf end\n")
	r.serve()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r.launch("1")
	run := r.succeeded()
	runtime.ReadMemStats(&after)
	if text := run.Stdout.Text; !strings.HasPrefix(text, "begin\x00") || !strings.HasSuffix(text, "\x00end") || len(text) != 2*triggers.Kept {
		t.Errorf("kept %d bytes, from %q to %q", len(text), text[:10], text[len(text)-10:])
	}
	if want := int64(total + len("beginend") - 2*triggers.Kept); run.Stdout.DroppedBytes != want {
		t.Errorf("%d bytes were counted as dropped, want %d", run.Stdout.DroppedBytes, want)
	}
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

// TestNoDescriptorsLeft: the run waits, health says why, and it succeeds once
// there are descriptors again.
func TestNoDescriptorsLeft(t *testing.T) {
	r := newRig(t, nil)
	r.SetTimes(time.Minute, time.Second, 10*time.Millisecond)
	r.script("launch", "#!/bin/sh\n")
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	r.serve()
	r.launch("1") // the store has its connections now
	r.succeeded()
	low := limit
	low.Cur = 4
	r.launch("2")
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Skipf("cannot lower the limit: %v", err)
	}
	r.launch("3")
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(time.Minute); ; <-again.C {
		// The database may be short of descriptors too; then only the waiting count.
		h, _ := r.Health(t.Context())
		if strings.Contains(strings.Join(h.Faults(), "; "), "too many open files") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("health does not say that there are no descriptors: %v", h.Faults())
		}
	}
	restore()
	r.succeeded()
	r.succeeded()
}

// TestFewDescriptorsLeft runs a script with each small number of descriptors
// left, the highest ones: no run fails, each at most waits.
func TestFewDescriptorsLeft(t *testing.T) {
	const limit, most = 256, 24
	r := newRig(t, nil)
	r.SetTimes(time.Minute, time.Second, 10*time.Millisecond)
	r.script("launch", "#!/bin/sh\n")
	r.serve()
	r.launch("1") // the store has its connections now
	r.succeeded()
	var former syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &former); err != nil {
		t.Fatal(err)
	}
	low := former
	low.Cur = limit
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &former); err != nil {
			t.Error(err)
		}
	})
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for left := range most {
		taken := takeDescriptors(t, left)
		r.launch("2")
		for end := time.Now().Add(time.Minute); ; <-again.C {
			if h, err := r.Health(t.Context()); err != nil || len(h.Faults()) > 0 || h.Waiting == 0 && len(h.Running) == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("with %d descriptors the run neither ends nor waits", left)
			}
		}
		for _, fd := range taken {
			_ = syscall.Close(fd)
		}
		r.succeeded()
	}
}

// takeDescriptors opens files until only the highest left descriptors are free,
// and returns those that it opened.
func takeDescriptors(t *testing.T, left int) []int {
	t.Helper()
	var taken []int
	for {
		fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		taken = append(taken, fd)
	}
	if len(taken) < left {
		t.Fatalf("only %d descriptors were free", len(taken))
	}
	keep := len(taken) - left
	for _, fd := range taken[keep:] {
		_ = syscall.Close(fd)
	}
	return taken[:keep]
}
