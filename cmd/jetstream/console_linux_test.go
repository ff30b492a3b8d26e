package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"jetstream/internal/server"
)

// startOn runs the server as a process whose standard error is stderr. It
// returns once the server listens.
func (l *live) startOn(stderr *os.File, attr *syscall.SysProcAttr, flags ...string) *exec.Cmd {
	l.t.Helper()
	cmd := exec.Command(programFile(l.t), append([]string{"server", "--api-port=0", "--recv-port=0", "--recv-host=127.0.0.1",
		"--persistent-state-dir=" + l.state, "--trigger-dir=" + l.triggers, "--trigger-on-api"}, flags...)...)
	cmd.Stderr, cmd.SysProcAttr = stderr, attr
	cmd.ExtraFiles = []*os.File{stderr} // which no script may get
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	l.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if err := <-ended; err != nil && cmd.ProcessState.ExitCode() > 0 {
			l.t.Errorf("the server: %v", err)
		}
		ended <- nil
	})
	l.stop = func() int {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			l.t.Error(err)
		}
		select {
		case err := <-ended:
			ended <- err
			return cmd.ProcessState.ExitCode()
		case <-time.After(patience):
			l.t.Fatal("the server does not stop")
			return 0
		}
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(patience); ; {
		var e server.Endpoint
		text, err := os.ReadFile(filepath.Join(l.state, server.EndpointFile))
		if err == nil && json.Unmarshal(text, &e) == nil && e.PID == cmd.Process.Pid {
			l.host, l.apiPort, l.recvPort = e.APIHost, e.APIPort, e.RecvPort
			l.baseURL = fmt.Sprintf("http://%s:%d", e.APIHost, e.APIPort)
			return cmd
		}
		select {
		case <-again.C:
		case err := <-ended:
			ended <- err
			l.t.Fatalf("the server ended: %v", err)
		case <-deadline:
			l.t.Fatal("the server does not listen")
		}
	}
}

// lastRun waits until a run of the event has ended.
func (l *live) lastRun(event string) map[string]any {
	l.t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(patience); ; {
		runs := l.runsOf(event)
		if len(runs) > 0 && runs[0]["endTime"] != nil {
			return runs[0]
		}
		select {
		case <-again.C:
		case <-deadline:
			l.t.Fatalf("no run of %s ends: %v", event, runs)
		}
	}
}

// onTerminal makes the program's side of a terminal the controlling one.
func onTerminal(program *os.File) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2}
}

// TestScriptsHaveNoTerminal: one that reads /dev/tty gets an error, where the
// server has a terminal; it is not stopped for ever.
func TestScriptsHaveNoTerminal(t *testing.T) {
	person, program := openTerminal(t)
	go func() { _, _ = io.Copy(io.Discard, person) }()
	l := newLive(t)
	l.script("on.getServerInfo", "#!/bin/sh\nstty raw < /dev/tty && echo opened\nread x < /dev/tty && echo opened\nexit 0\n")
	l.startOn(program, onTerminal(program), "--trigger-timeout=4s", "--trigger-grace=1s")
	l.call("getServerInfo", nil)
	if run := l.lastRun("on.getServerInfo"); strings.Contains(fmt.Sprint(run["stdout"]), "opened") {
		t.Errorf("the script got the terminal: %v", run)
	} else if run["status"] == "timeout" {
		t.Errorf("the script was stopped: %v", run)
	}
	if code := l.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestClosedTerminalEndsNothing: the hangup ends neither the server nor a
// script, and writing to what is no longer there does not either.
func TestClosedTerminalEndsNothing(t *testing.T) {
	person, program := openTerminal(t)
	l := newLive(t)
	wait, open := gate(t)
	l.script("on.getServerInfo", wait+"echo done\n")
	l.startOn(program, onTerminal(program), "--trigger-log")
	l.call("getServerInfo", nil)
	if err := person.Close(); err != nil { // sends SIGHUP to the server
		t.Fatal(err)
	}
	open()
	if run := l.lastRun("on.getServerInfo"); run["status"] != "success" {
		t.Errorf("the script's run: %v", run)
	}
	if code := l.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestConsoleIsNeverWaitedFor: with a console that nobody reads, or whose
// reader has gone, calls are answered, scripts run, and the server stops.
func TestConsoleIsNeverWaitedFor(t *testing.T) {
	for name, gone := range map[string]bool{"nobody reads": false, "the reader has gone": true} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			l := newLive(t)
			// Far more than pipe and buffer hold. The second line ends by SIGPIPE,
			// which the server must not take away from scripts.
			l.script("on.getServerInfo", "#!/bin/sh\nhead -c 8000000 /dev/zero | tr '\\0' x | fold -w 100\n"+
				"(yes; echo \"yes ended with $?\" >&2) | head -n 1 > /dev/null\n")
			l.startOn(w, nil, "--trigger-log")
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if gone {
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				l.call("getServerInfo", nil)
			}
			run := l.lastRun("on.getServerInfo")
			if run["status"] != "success" || !strings.Contains(fmt.Sprint(run["stderr"]), "yes ended with 141") {
				t.Errorf("the script's run: %v %v", run["status"], run["stderr"])
			}
			if !gone { // what nobody reads is dropped, and the reader is told once there is one
				read := make(chan string, 1)
				go func() {
					text, _ := io.ReadAll(r)
					read <- string(text)
				}()
				defer func() {
					if text := <-read; !strings.Contains(text, "output was dropped because nobody read the console") {
						t.Errorf("of %d bytes none says that others were dropped", len(text))
					}
				}()
			}
			if code := l.stop(); code != 0 {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

// TestLogFileIsReopened: after a rotation and SIGHUP the log goes on in a new
// file, and so does the audit log.
func TestLogFileIsReopened(t *testing.T) {
	l := newLive(t)
	dir := t.TempDir()
	path, audit := filepath.Join(dir, "log"), filepath.Join(dir, "audit")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	cmd := l.startOn(null, nil, "--log="+path, "--audit-log="+audit)
	for _, file := range []string{path, audit} {
		if err := os.Rename(file, file+".1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(patience); ; {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), "the log file was reopened") {
			if _, err := os.Stat(audit); err == nil {
				break
			}
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("no new log file")
		}
	}
	if code := l.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if text := read(t, path); !strings.Contains(text, `"msg":"stopped"`) {
		t.Errorf("the new file ends with %s", text)
	}
}

// TestScriptsInheritNoDescriptors: one that was open before the server began is
// not open in a script.
func TestScriptsInheritNoDescriptors(t *testing.T) {
	l := newLive(t)
	l.script("on.getServerInfo", "#!/bin/sh\nfor fd in /proc/$$/fd/*; do readlink $fd; done\n")
	secret, err := os.Create(filepath.Join(t.TempDir(), "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = secret.Close() }()
	l.startOn(secret, nil, "--log-level=error") // as fd 3 as well
	l.call("getServerInfo", nil)
	run := l.lastRun("on.getServerInfo")
	open := strings.Fields(fmt.Sprint(run["stdout"].(map[string]any)["text"]))
	if slices.Contains(open, secret.Name()) || len(open) > 4 { // the standard streams, and sh's own script
		t.Errorf("open in the script: %q", open)
	}
}

const hostile = "ev\x1b]0;title\x07il \\x1b[31m \u009b31m \u202etxt.exe\r\n2026 forged"

// TestTextOfOthersIsEscaped sends hostile text through the log and the printed
// output of scripts to a terminal with colours, to a plain text log, and to a
// JSON log.
func TestTextOfOthersIsEscaped(t *testing.T) {
	for name, flags := range map[string][]string{
		"terminal": nil, "terminal, JSON": {"--log-format=json"}, "pipe, text": {"--log-format=text"}, "pipe": nil,
	} {
		t.Run(name, func(t *testing.T) {
			var reader, writer *os.File
			if strings.HasPrefix(name, "terminal") {
				reader, writer = openTerminal(t)
			} else {
				var err error
				if reader, writer, err = os.Pipe(); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = reader.Close() }()
			}
			seen := &consoleText{}
			copied := make(chan struct{})
			go func() {
				defer close(copied)
				_, _ = io.Copy(seen, reader)
			}()
			l := newLive(t)
			l.script("on.send.createManifest", "#!/bin/sh\ncat\necho; echo the end\n")
			l.startOn(writer, nil, append(flags, "--trigger-log", "--log-level=debug")...)
			if err := writer.Close(); err != nil {
				t.Fatal(err)
			}
			l.call("send.createManifest", map[string]any{"fileMappings": map[string]string{"/" + hostile: "/b"}, "userData": map[string]string{"k": hostile}})
			l.rest("alice", "GET", "/api/v1/send/manifests/"+strings.Repeat("0", 32), nil, "X-Request-Id", "plain")
			l.lastRun("on.send.createManifest")
			l.stop()
			<-copied
			wantEscaped(t, seen.String())
			if !strings.Contains(seen.String(), "the end") {
				t.Errorf("the script's output is missing: %q", seen)
			}
		})
	}
}

// wantEscaped wants no control character in the text but those of its layout
// and of tint's colours.
func wantEscaped(t *testing.T, text string) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSuffix(line, "\r") // a terminal's
		for _, colour := range []string{"\x1b[0m", "\x1b[2m", "\x1b[22m", "\x1b[91m", "\x1b[92m", "\x1b[93m", "\x1b[2;91m"} {
			line = strings.ReplaceAll(line, colour, "")
		}
		if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == '\u202e' }); i >= 0 {
			t.Errorf("unescaped: %q", line)
		}
		if strings.HasPrefix(line, "2026 forged") {
			t.Errorf("a line of its own: %q", line)
		}
	}
}

type textual struct{ text string }

func (x textual) MarshalText() ([]byte, error) { return []byte(x.text), nil }

// TestLogEscapesAllThatARecordHolds tries each kind of value, with colours and
// without.
func TestLogEscapesAllThatARecordHolds(t *testing.T) {
	for _, format := range []string{"auto", "json", "text"} {
		for _, isTerminal := range []bool{true, false} {
			var out strings.Builder
			log := slog.New((&serverCmd{LogLevel: "info", LogFormat: format}).consoleHandler(&out, isTerminal))
			log.With("with "+hostile, hostile).WithGroup("group "+hostile).Info(hostile, "text "+hostile, hostile, "error", errors.New(hostile),
				"bytes", []byte(hostile), "list", []string{hostile}, "marshaler", textual{hostile}, slog.Group("in "+hostile, "k", hostile))
			wantEscaped(t, strings.TrimSuffix(out.String(), "\n"))
			if strings.Count(out.String(), "forged") < 8 {
				t.Errorf("%s: text is missing: %q", format, &out)
			}
		}
	}
}
