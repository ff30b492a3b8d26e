package main

import (
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
)

// What others wrote reaches the operator's terminal without its control
// characters: user data and output of scripts, in every form of the log.
func TestTerminalOfTheServerShowsOthersTextsOnly(t *testing.T) {
	colours := regexp.MustCompile(`\x1b\[[0-9;]*m`)
	for _, format := range []string{"auto", "json"} {
		l := newLive(t)
		// Once as bytes, once as text that a handler might take for quoted.
		l.script("on.ls", "#!/bin/sh\nprintf '\\033]0;title\\007 \\033[2J \\302\\233 31m a\\rb \\\\x1b]0;t\\n'\nprintf '%s\\n' \"$1\" \"$3\" >&2\nexit 3\n")
		person, program := openTerminal(t)
		cmd := exec.Command(programFile(t), "server", "--api-port=0", "--recv-port=0", "--recv-host=127.0.0.1", "--persistent-state-dir="+l.state,
			"--log-format="+format, "--log-level=debug", "--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log")
		cmd.Stderr = program
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if cmd.ProcessState == nil {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}
		})
		seen := ""
		await := func(text string) {
			t.Helper()
			timer := time.AfterFunc(2*time.Minute, func() { _ = person.Close() })
			defer timer.Stop()
			b := make([]byte, 4096)
			for !strings.Contains(seen, text) {
				n, err := person.Read(b)
				if err != nil {
					t.Fatalf("%q did not come (%v): %q", text, err, seen)
				}
				seen += string(b[:n])
			}
		}
		await("JetStream is listening")
		l.endpoint()
		l.rest("alice", "POST", "/api/v1/command", map[string]any{"request": "ls",
			"parameters": map[string]any{"path": "/\x1b]0;title\a \u009b2J \u202e a\rb \\x1b]0;t"}})
		await("trigger ended")
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		await("triggersRan")
		_ = cmd.Wait()
		text := colours.ReplaceAllString(strings.ReplaceAll(seen, "\r\n", "\n"), "")
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != ' ' && !unicode.IsGraphic(r) }); i >= 0 {
			t.Errorf("%s: the terminal got %q", format, text[max(0, i-80):min(len(text), i+80)])
		}
		if !strings.Contains(text, `]0;title`) || format == "auto" && len(text) == len(strings.ReplaceAll(seen, "\r\n", "\n")) {
			t.Errorf("%s: the terminal got %q", format, seen)
		}
	}
}
