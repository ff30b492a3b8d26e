package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"jetstream/internal/terminal"
	"jetstream/internal/watch"
)

// screenText is what a program has written to a terminal.
type screenText struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // holds a token after a change
}

func (s *screenText) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(b)
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (s *screenText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until what was written after an offset matches, and returns where the
// match ends.
func (s *screenText) await(t *testing.T, from int, pattern string) int {
	t.Helper()
	found, end := s.awaitWithin(patience, from, pattern)
	if !found {
		t.Fatalf("%s did not come: %q", pattern, s.String()[from:])
	}
	return end
}

// awaitWithin is await for a test that goes on where nothing has come in time.
func (s *screenText) awaitWithin(limit time.Duration, from int, pattern string) (found bool, end int) {
	re := regexp.MustCompile(pattern)
	for deadline := time.After(limit); ; {
		if at := re.FindStringIndex(s.String()[from:]); at != nil {
			return true, from + at[1]
		}
		select {
		case <-s.changed:
		case <-deadline:
			return false, 0
		}
	}
}

// watched is jetstream send as a process at a terminal of its own.
type watched struct {
	*screenText
	t      *testing.T
	person *os.File
	cmd    *exec.Cmd
	ended  chan int
}

// watchSend begins to send alice's reel to bob at a terminal of some columns.
func watchSend(t *testing.T, p *pair, columns uint16, args ...string) *watched {
	t.Helper()
	person, program := openTerminal(t)
	w := &watched{screenText: &screenText{changed: make(chan struct{}, 1)}, t: t, person: person, ended: make(chan int, 1)}
	w.resize(columns)
	args = append([]string{"send"}, append(args, filepath.Join(p.from.files, "reel"), fmt.Sprintf("bob@127.0.0.1:%d:/in", p.to.recvPort))...)
	w.cmd = exec.Command(programFile(t), args...)
	w.cmd.Env = append(os.Environ(), "JETSTREAM_API_HOST="+p.from.host, "JETSTREAM_API_PORT="+strconv.Itoa(p.from.apiPort), "JETSTREAM_API_USER=alice",
		"JETSTREAM_API_PASSWORD="+p.from.password, "JETSTREAM_REMOTE_PASSWORD="+p.to.password)
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr, w.cmd.SysProcAttr = program, program, program, onTerminal(program)
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = program.Close()
	go func() { _, _ = io.Copy(w, person) }()
	go func() {
		_ = w.cmd.Wait()
		w.ended <- w.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	return w
}

func (w *watched) resize(columns uint16) {
	w.t.Helper()
	if err := unix.IoctlSetWinsize(int(w.person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		w.t.Fatal(err)
	}
}

// end waits for the end with an exit status.
func (w *watched) end(code int) {
	w.t.Helper()
	select {
	case got := <-w.ended:
		if got != code {
			w.t.Errorf("exit status %d, want %d: %q", got, code, w.String())
		}
	case <-time.After(patience):
		w.t.Fatalf("it does not end: %q", w.String())
	}
}

// wantNarrow wants every drawing of the status line after an offset to fit.
func (w *watched) wantNarrow(from, columns int) {
	w.t.Helper()
	for line := range strings.SplitSeq(w.String()[from:], "\n") {
		for drawn := range strings.SplitSeq(strings.TrimSuffix(line, "\r"), "\r") {
			if strings.Contains(drawn, " % ") && terminal.Width(drawn) >= columns {
				w.t.Errorf("%q has %d columns of %d", drawn, terminal.Width(drawn), columns)
			}
		}
	}
}

// TestSendAtATerminal asks for the key of an unknown receiver, shows what the transfer
// waits for in a line that fits the terminal, whatever its size, and goes on when the
// receiver is there again.
func TestSendAtATerminal(t *testing.T) {
	for _, columns := range []int{80, 120} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			p := newPair(t)
			w := watchSend(t, p, uint16(columns))
			at := w.await(t, 0, `It shows\s+[-_A-Za-z0-9]{43}\s`)
			w.await(t, 0, `Is it the right one\? \[y/N\]: `)
			fmt.Fprintln(w.person, "y")
			w.await(t, at, `complete: 3 files`)
			w.end(exitDone)
			w.wantNarrow(0, columns)

			port := p.to.recvPort
			p.to.stop()
			more := make([]byte, 200_000)
			_, _ = rand.NewChaCha8([32]byte{}).Read(more) // which does not compress
			if err := os.WriteFile(filepath.Join(p.from.files, "reel", "more"), more, 0o600); err != nil {
				t.Fatal(err)
			}
			// The key is known: nothing is asked. It is so slow that its progress is seen.
			w = watchSend(t, p, uint16(columns), "--rate=800")
			at = w.await(t, 0, `waiting: 127\.0\.0\.1:\d+ cannot be reached`)
			at = w.await(t, at, `next try in \d s`)
			w.wantNarrow(0, columns)
			w.resize(40)
			at = w.await(t, at, `\r +\d+ %  next try in \d s`) // nothing else has room
			w.resize(100)
			at = w.await(t, at, `\rreel +\d+ %  \[`)
			p.to.start("--recv-port=" + strconv.Itoa(port))
			at = w.await(t, at, `connected again`)
			w.await(t, at, `complete: 1 file, 195 KiB in .*\s+unchanged: 3 files, `)
			w.end(exitDone)
			if strings.Contains(w.String(), "Is it the right one?") {
				t.Errorf("it asked again: %q", w.String())
			}
		})
	}
}

// TestInterruptAtATerminalAsks what shall become of the transfer.
func TestInterruptAtATerminalAsks(t *testing.T) {
	p := newPair(t)
	w := watchSend(t, p, 80, "--accept-key")
	w.await(t, 0, "complete: ")
	w.end(exitDone)
	p.to.stop()
	status := func() any {
		return p.from.call("send.getTransfers", map[string]any{"limit": 1})["transfers"].([]any)[0].(map[string]any)["status"]
	}
	const question = `\(c\)ancel the transfer, \(l\)eave it running, or \(g\)o on\? \[g\]: `
	begin := func() (*watched, int) {
		w := watchSend(t, p, 80)
		return w, w.await(t, 0, "next try in")
	}
	type1 := func(w *watched, text string) {
		if _, err := io.WriteString(w.person, text); err != nil {
			t.Fatal(err)
		}
	}

	w, at := begin()
	type1(w, "\x03")
	at = w.await(t, at, question)
	type1(w, "\n")
	at = w.await(t, at, "next try in") // it goes on
	type1(w, "\x03")
	at = w.await(t, at, question)
	type1(w, "l\n")
	w.await(t, at, "interrupted: transfer [0-9a-f]{32} goes on; `jetstream transfers watch [0-9a-f]{32}`")
	w.end(exitFailed)
	if got := status(); got != "pending" {
		t.Errorf("a transfer that was left is %v", got)
	}

	for _, answer := range []string{"c\n", "\x03"} { // a second interrupt means what it says
		w, at = begin()
		type1(w, "\x03")
		at = w.await(t, at, question)
		type1(w, answer)
		w.await(t, at, "interrupted: the transfer was cancelled")
		w.end(exitFailed)
		if got := status(); got != "cancelled" {
			t.Errorf("after %q the transfer is %v", answer, got)
		}
	}

	w, at = begin()
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	w.await(t, at, "interrupted: the transfer was cancelled")
	w.end(exitFailed)

	w, _ = begin()
	_ = w.cmd.Process.Signal(syscall.SIGHUP) // as the closing terminal does
	w.end(exitFailed)
	if got := status(); got != "pending" {
		t.Errorf("after a hangup the transfer is %v", got)
	}
}

// TestHangupBeforeTheTransferExists: it is made all the same, and left to the server.
func TestHangupBeforeTheTransferExists(t *testing.T) {
	p := newPair(t)
	listing, goOn := make(chan struct{}), make(chan struct{})
	backend, err := url.Parse(p.from.baseURL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(backend)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte("send.createManifest")) {
			close(listing)
			<-goOn
		}
		proxy.ServeHTTP(w, r)
	}))
	defer slow.Close()
	through := *p.from
	through.apiPort = slow.Listener.Addr().(*net.TCPAddr).Port
	p.to.stop() // so that the transfer stays
	w := watchSend(t, &pair{from: &through, to: p.to}, 80, "--accept-key")
	select {
	case <-listing:
	case code := <-w.ended:
		t.Fatalf("it ended with status %d: %q", code, w)
	case <-time.After(patience):
		t.Fatalf("it makes no manifest: %q", w)
	}
	if err := w.cmd.Process.Signal(syscall.SIGHUP); err != nil { // as the closing terminal does
		t.Fatal(err)
	}
	close(goOn)
	w.await(t, 0, "interrupted: transfer [0-9a-f]{32} goes on")
	w.end(exitFailed)
	if list := p.from.call("send.getTransfers", nil)["transfers"].([]any); len(list) != 1 || list[0].(map[string]any)["status"] != "pending" {
		t.Errorf("the server has %v", list)
	}
}

// TestTimeLimitOutlastsAnInterrupt that was answered with go on.
func TestTimeLimitOutlastsAnInterrupt(t *testing.T) {
	person, own := openTerminal(t)
	i := newInterrupts(&program{Stdin: own, Stderr: own})
	defer i.end()
	end := time.Now().Add(time.Hour)
	limited, stop := context.WithDeadline(t.Context(), end)
	defer stop()
	ctx, interrupt := context.WithCancelCause(limited)
	interrupt(errors.New(os.Interrupt.String() + " signal received")) // as signal.NotifyContext says it
	if _, err := io.WriteString(person, "g\n"); err != nil {
		t.Fatal(err)
	}
	choice, next := i.choose(ctx)
	if choice != watch.GoOn || next.Err() != nil {
		t.Fatalf("the choice is %v (%v), want to go on", choice, context.Cause(next))
	}
	if got, ok := next.Deadline(); !ok || !got.Equal(end) {
		t.Errorf("it ends at %v (%v), want %v", got, ok, end)
	}
	// It ends as one that was never interrupted, without a question.
	over, stop := context.WithDeadlineCause(context.WithoutCancel(next), time.Now(), errTimeout)
	defer stop()
	<-over.Done()
	if choice, _ := i.choose(over); choice != watch.Cancel {
		t.Errorf("at its end the choice is %v, want to cancel", choice)
	}
}

// TestKeyThatIsNotAccepted: nothing is sent or kept.
func TestKeyThatIsNotAccepted(t *testing.T) {
	p := newPair(t)
	w := watchSend(t, p, 80)
	at := w.await(t, 0, `Is it the right one\? \[y/N\]: `)
	fmt.Fprintln(w.person, "n")
	w.await(t, at, "the key was not accepted: nothing was sent")
	w.end(exitFailed)
	if list := p.from.call("send.getDestinations", nil)["destinations"].([]any); len(list) != 0 {
		t.Errorf("kept: %v", list)
	}
}
