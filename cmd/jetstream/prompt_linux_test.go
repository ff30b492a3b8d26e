package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal makes a real terminal: what is written to the person's side is
// typed on the program's.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine gives no terminal: %v", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// prompts is the program's stderr; the test reads it as it comes.
type prompts struct {
	written chan string
	seen    string
}

func (p *prompts) Write(b []byte) (int, error) {
	p.written <- string(b)
	return len(b), nil
}

// await reads until text has come.
func (p *prompts) await(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(p.seen, text) {
		select {
		case more := <-p.written:
			p.seen += more
		case <-time.After(patience):
			t.Fatalf("%q did not come: %s", text, p.seen)
		}
	}
}

// all is what has been written when the program has ended.
func (p *prompts) all() string {
	for len(p.written) > 0 {
		p.seen += <-p.written
	}
	return p.seen
}

// atTerminal runs a command line at terminal; answer once it asks.
func atTerminal(ctx context.Context, terminal *os.File, args ...string) (asked *prompts, ended chan int) {
	asked, ended = &prompts{written: make(chan string, 64)}, make(chan int, 1)
	go func() {
		ended <- run(ctx, args, func(string) string { return "" }, terminal, io.Discard, asked)
	}()
	return asked, ended
}

func TestPasswordIsAskedForTwice(t *testing.T) {
	for _, tt := range []struct {
		first, second string
		code          int
		says          string
	}{
		{"s3cret", "s3cret", 0, "New password of joe: "},
		{"s3cret", "secret", 1, "not the same; nothing was changed"},
	} {
		person, terminal := openTerminal(t)
		state := filepath.Join(t.TempDir(), "state")
		asked, ended := atTerminal(t.Context(), terminal, "user", "add", "joe", "--persistent-state-dir", state)
		asked.await(t, "New password of joe: ")
		fmt.Fprintln(person, tt.first)
		asked.await(t, "Again: ")
		fmt.Fprintln(person, tt.second)
		code, said := <-ended, asked.all()
		if code != tt.code || !strings.Contains(said, tt.says) {
			t.Errorf("%q, %q: exit %d: %s", tt.first, tt.second, code, said)
		}
		if strings.Contains(said, "cret") {
			t.Errorf("the password is shown: %s", said)
		}
		if !echoes(t, terminal) {
			t.Error("the terminal was left without echo")
		}
	}
}

// TestWhatIsTypedAheadIsForTheNextQuestion holds that answers that come at once,
// by a paste, reach the questions that they were meant for.
func TestWhatIsTypedAheadIsForTheNextQuestion(t *testing.T) {
	person, terminal := openTerminal(t)
	state := filepath.Join(t.TempDir(), "state")
	asked, ended := atTerminal(t.Context(), terminal, "user", "add", "joe", "--persistent-state-dir", state)
	asked.await(t, "New password of joe: ")
	const answer = "s3cret\r"
	fmt.Fprint(person, answer+answer)
	select {
	case code := <-ended:
		if code != exitDone {
			t.Errorf("exit %d: %s", code, asked.all())
		}
	case <-time.After(patience):
		t.Fatalf("the second answer did not arrive: %s", asked.all())
	}
}

func TestInterruptAtAPromptRestoresTheTerminal(t *testing.T) {
	person, terminal := openTerminal(t)
	asked, ended := atTerminal(t.Context(), terminal, "api", "createUser", "--name", "joe")
	asked.await(t, "password (")
	fmt.Fprint(person, "half\x03") // Ctrl-C is typed
	if code, said := <-ended, asked.all(); code != 1 || !strings.Contains(said, "interrupted") {
		t.Errorf("exit %d: %s", code, said)
	}
	if !echoes(t, terminal) {
		t.Error("the terminal was left without echo")
	}

	_, terminal = openTerminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	asked, ended = atTerminal(ctx, terminal, "api", "createUser", "--name", "joe")
	asked.await(t, "password (")
	interrupt()
	if code, said := <-ended, asked.all(); code != 1 || !strings.Contains(said, "interrupted") {
		t.Errorf("exit %d: %s", code, said)
	}
	if !echoes(t, terminal) {
		t.Error("the terminal was left without echo")
	}
}

// TestSendShowsProgress on a terminal as a bar, elsewhere in lines, to the end.
func TestSendShowsProgress(t *testing.T) {
	p := newPair(t)
	env := map[string]string{"JETSTREAM_API_HOST": p.from.host, "JETSTREAM_API_PORT": strconv.Itoa(p.from.apiPort), "JETSTREAM_API_USER": "alice",
		"JETSTREAM_API_PASSWORD": p.from.password, "JETSTREAM_REMOTE_PASSWORD": p.to.password}
	args := []string{"send", "--accept-key", filepath.Join(p.from.files, "reel"), fmt.Sprintf("bob@127.0.0.1:%d:/in", p.to.recvPort)}
	got := jetstream(t, env, "", args...)
	if got.code != exitDone || !strings.Contains(got.stderr, "100 %") || !strings.HasPrefix(got.stdout, "complete: 3 files") {
		t.Errorf("%+v", got)
	}
	person, terminal := openTerminal(t)
	ended := make(chan int, 1)
	go func() {
		ended <- run(t.Context(), args, func(name string) string { return env[name] }, nil, io.Discard, terminal)
	}()
	seen, buffer := "", make([]byte, 4096)
	for !strings.Contains(seen, "100 %") {
		n, err := person.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
		seen += string(buffer[:n])
	}
	if code := <-ended; code != exitDone {
		t.Errorf("exit status %d: %q", code, seen)
	}
}

// TestEmitAsksBeforeItRunsAScript: at a terminal; elsewhere it wants --yes. The
// script sees whether it got sample data.
func TestEmitAsksBeforeItRunsAScript(t *testing.T) {
	l := newLive(t)
	l.script("recv.transferComplete", "#!/bin/sh\necho \"sample=$JETSTREAM_SAMPLE\" >> ran.txt\n")
	l.script("launch", "#!/bin/sh\necho \"launch=$JETSTREAM_SAMPLE\" >> ran.txt\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-log")
	l.awaitRuns("launch", 1)
	emit := []string{"trigger", "emit", "recv.transferComplete", "--persistent-state-dir=" + l.state}
	for _, c := range []struct {
		answer string
		code   int
	}{{"", 1}, {"n", 1}, {"y", 0}} {
		person, terminal := openTerminal(t)
		asked, ended := atTerminal(t.Context(), terminal, emit...)
		asked.await(t, "Go on? [y/N]: ")
		fmt.Fprintln(person, c.answer)
		if code := <-ended; code != c.code {
			t.Errorf("%q: exit %d: %s", c.answer, code, asked.all())
		}
	}
	l.awaitRuns("recv.transferComplete", 1)
	if got := jetstream(t, nil, "", emit...); got.code != 2 || !strings.Contains(got.stderr, "--yes") {
		t.Errorf("without a terminal: %+v", got)
	}
	l.wants(0, []string{"is queued"}, "emit", "--yes", "launch", "--param", "port=1")
	l.awaitRuns("launch", 2)
	if got := read(t, filepath.Join(l.triggers, "ran.txt")); got != "launch=\nsample=1\nlaunch=\n" {
		t.Errorf("the scripts saw %q", got)
	}
	runs := l.callAs("root", "getTriggerRuns", map[string]any{"event": "recv.transferComplete"})["runs"].([]any)
	if run := runs[0].(map[string]any); len(runs) != 1 || run["sample"] != true {
		t.Errorf("recorded as %v", runs)
	}
}
