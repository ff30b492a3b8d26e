//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startUnread runs the server as a process of its own and returns its stderr,
// which nobody reads once it listens.
func (l *live) startUnread(flags ...string) (cmd *exec.Cmd, stderr *os.File) {
	l.t.Helper()
	args := append([]string{"server", "--api-port=0", "--recv-port=0", "--recv-host=127.0.0.1",
		"--persistent-state-dir=" + l.state, "--log-format=json"}, flags...)
	cmd = exec.Command(programFile(l.t), args...)
	stderr, w, err := os.Pipe()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = stderr.Close() })
	cmd.Stderr = w
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	var seen []byte
	for !strings.Contains(string(seen), "JetStream is listening") {
		b := make([]byte, 1)
		if _, err := stderr.Read(b); err != nil {
			l.t.Fatalf("the server ended (%v):\n%s", err, seen)
		}
		seen = append(seen, b...)
	}
	l.endpoint()
	return cmd, stderr
}

// stops ends the server by SIGTERM.
func stops(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM the server ended with %v", err)
	}
}

// lineOf waits for the end of a script that writes one line, and returns that.
func (l *live) lineOf(file string) string {
	l.t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(2 * time.Minute); ; <-again.C {
		b, err := os.ReadFile(filepath.Join(l.triggers, file))
		if strings.HasSuffix(string(b), "\n") {
			return string(b)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) || time.Now().After(deadline) {
			l.t.Fatalf("%s holds %q (%v)", file, b, err)
		}
	}
}

// The reader of the console dies: that ends neither the server nor a call, and
// scripts are still ended by SIGPIPE and SIGHUP as everywhere.
func TestDeadReaderOfTheConsoleCostsNothingElse(t *testing.T) {
	l := newLive(t)
	l.script("on.ls", "#!/bin/sh\necho chatty\nsh -c 'kill -PIPE $$'; a=$?; sh -c 'kill -HUP $$'; echo $a $? > signals.txt\n")
	l.script("on.getServerInfo", "#!/bin/sh\necho chatty; echo \"$2\" > ended.txt\n")
	cmd, stderr := l.startUnread("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log", "--log-level=debug")
	if err := stderr.Close(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		l.call("ls", map[string]any{"path": "/"})
	}
	l.call("getServerInfo", nil)
	if got := l.lineOf("ended.txt"); got != "success\n" {
		t.Errorf("the script saw %q", got)
	}
	if got := l.lineOf("signals.txt"); got != "141 129\n" {
		t.Errorf("children of a script ended with %q by SIGPIPE and SIGHUP, want 141 129", got)
	}
	stops(t, cmd)
}

// Nobody reads the console while scripts fill it: calls, scripts and the stop
// go on, and a reader who comes back sees that something is missing.
func TestUnreadConsoleHoldsNothingUp(t *testing.T) {
	l := newLive(t)
	l.script("on.ls", "#!/bin/sh\nhead -c 6000000 /dev/zero | tr '\\0' 'x' | fold -w 100\n")
	l.script("on.getServerInfo", "#!/bin/sh\necho ended > ended.txt\n")
	cmd, stderr := l.startUnread("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log", "--log-level=debug")
	for range 3 {
		l.call("ls", map[string]any{"path": "/"})
	}
	l.call("getServerInfo", nil)
	l.lineOf("ended.txt")
	lines := bufio.NewScanner(stderr)
	for found := false; !found; {
		if !lines.Scan() {
			t.Fatalf("the console ended without a notice (%v)", lines.Err())
		}
		var notice struct {
			Msg          string
			Lines, Bytes int
		}
		_ = json.Unmarshal(lines.Bytes(), &notice)
		found = strings.HasPrefix(notice.Msg, "nobody read this console") && notice.Lines > 10_000 && notice.Bytes > 1<<20
	}
	for range 3 {
		l.call("ls", map[string]any{"path": "/"})
	}
	stops(t, cmd) // which nobody reads either
}

// A hangup ends neither the server nor a script, and reopens the log file.
func TestHangupReopensTheLogFile(t *testing.T) {
	l := newLive(t)
	wait, open := gate(t)
	l.script("on.ls", "#!/bin/sh\n"+wait[strings.Index(wait, "read line"):]+"\necho ended > ended.txt\n")
	file := filepath.Join(t.TempDir(), "log")
	cmd := l.startProcess("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log", "--log="+file)
	l.call("ls", map[string]any{"path": "/"})
	l.awaitLog(`"msg":"trigger started"`, 1)
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	l.awaitLog("the log file was opened anew", 1)
	open()
	if got := l.lineOf("ended.txt"); got != "ended\n" {
		t.Errorf("the script said %q", got)
	}
	l.awaitLog(`"msg":"trigger ended"`, 1)
	stops(t, cmd)
	if former, now := read(t, file+".1"), read(t, file); strings.Contains(former, "trigger ended") || !strings.Contains(now, `"msg":"trigger ended"`) {
		t.Errorf("the former file holds\n%s\nthe new one\n%s", former, now)
	}
}

// stuck is a file whose writes fail or wait as the test wants.
type stuck struct {
	writes chan []byte
	result chan error
}

func (s *stuck) Write(p []byte) (int, error) {
	s.writes <- append([]byte{}, p...)
	if err := <-s.result; err != nil {
		return 0, err
	}
	return len(p), nil
}

// What was dropped is said where it is missing, also when its notice fails.
func TestConsoleSaysWhatItDropped(t *testing.T) {
	s := &stuck{make(chan []byte), make(chan error)}
	c := &consoleWriter{to: s, notice: func(to io.Writer, lines, n int) {
		_, _ = io.WriteString(to, "dropped "+strconv.Itoa(lines)+" "+strconv.Itoa(n)+"\n")
	}}
	wants := func(text string, err error) {
		t.Helper()
		if got := string(<-s.writes); got != text {
			t.Errorf("wrote %.60q, want %.60q", got, text)
		}
		s.result <- err
	}
	say := func(text string) { _, _ = io.WriteString(c, text) }
	say("first\n")
	got := <-s.writes
	say("second\n")
	say(strings.Repeat("x", consoleBuffer)) // does not fit
	say("third\n")                          // behind the gap
	s.result <- nil
	if string(got) != "first\n" {
		t.Errorf("wrote %q", got)
	}
	wants("second\n", nil)
	wants("dropped 1 "+strconv.Itoa(consoleBuffer+6)+"\n", errors.New("broken pipe"))
	c.flush()
	say("fourth\n")
	wants("dropped 1 "+strconv.Itoa(consoleBuffer+6)+"\nfourth\n", errors.New("broken pipe"))
	c.flush()
	say("fifth\n")
	wants("dropped 2 "+strconv.Itoa(consoleBuffer+13)+"\nfifth\n", nil)
	c.flush()
	say("sixth\n")
	wants("sixth\n", nil)
	c.flush()
}
