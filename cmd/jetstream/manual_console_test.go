//go:build linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// step is a command of a block of console and what it is said to print.
type step struct{ command, output string }

func consoleSteps(b *manualBlock) (steps []step) {
	for line := range strings.Lines(b.text) {
		if command, begins := strings.CutPrefix(line, "$ "); begins {
			steps = append(steps, step{command: strings.TrimSpace(command)})
		} else if len(steps) > 0 {
			steps[len(steps)-1].output += line
		}
	}
	return steps
}

var (
	shownID = regexp.MustCompile(`\b[0-9a-f]{32}\b|\b[0-9a-f]{8}\b`)
	// reads are commands that can be repeated until they print what is wanted: what they
	// show may take a moment.
	reads = regexp.MustCompile(`^(cat|ls|grep|jetstream (trigger (runs|show|list)|transfers( list)?|user list)|jetstream api ([a-z]+\.)?(get|ls|du))\b`)
)

// withoutTimes is an output without what differs from run to run.
func withoutTimes(text string) string {
	for _, v := range []struct{ pattern, name string }{
		{`[0-9a-f]{64}`, "SUM"},
		{`[0-9a-f]{32}`, "ID"},
		{`\b[0-9a-f]{8}\b`, "SHORT"},
		{`\d{4}-\d\d-\d\d`, "DATE"},
		{`\d\d:\d\d:\d\d`, "TIME"},
		{`\b[0-9.]+(ms|s|m)\b`, "TOOK"},
		{` +`, " "},
		{` *(\n|$)`, "$1"},
	} {
		text = regexp.MustCompile(v.pattern).ReplaceAllString(text, v.name)
	}
	return text
}

// printed says whether got is what want says; "..." there stands for any text.
func printed(got, want string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(withoutTimes(want)), `\.\.\.`, `(?s:.*)`)
	return regexp.MustCompile(`^` + pattern + `$`).MatchString(withoutTimes(got))
}

// converse carries out the commands of a block, and holds what they print against what they
// are said to print. An id in a command is that of now.
func (h *machine) converse(b *manualBlock) {
	h.t.Helper()
	code := 0
	for _, s := range consoleSteps(b) {
		command := shownID.ReplaceAllStringFunc(s.command, func(id string) string {
			if now := h.m.ids[id]; now != "" {
				return now
			}
			return id
		})
		got := strconv.Itoa(code) + "\n"
		for end := time.Now().Add(patience); command != "echo $?"; {
			out, err := h.try(command)
			got, code = h.there(out), 0
			if exit, is := errors.AsType[*exec.ExitError](err); is {
				code = exit.ExitCode()
			} else if err != nil {
				h.t.Fatalf("%s: %s: %v", b, command, err)
			}
			if printed(got, s.output) || !reads.MatchString(command) || time.Now().After(end) {
				break
			}
		}
		if !printed(got, s.output) {
			h.t.Fatalf("%s: %s prints\n%s\nthe page says\n%s", b, command, got, s.output)
		}
		now, then := shownID.FindAllString(got, -1), shownID.FindAllString(s.output, -1)
		for i, id := range then {
			if len(now) != len(then) {
				break
			}
			if h.m.ids[id] != "" && h.m.ids[id] != now[i] {
				h.t.Errorf("%s: %s prints %s where the page goes on with %s, which was %s", b, command, now[i], id, h.m.ids[id])
			}
			h.m.ids[id] = now[i]
		}
	}
}

func TestPrinted(t *testing.T) {
	for _, tt := range []struct {
		got, want string
		is        bool
	}{
		{"took 5ms\n", "took 20ms\n", true},
		{"one\ntwo\nthree\n", "one\n...\nthree\n", true},
		{"one (x)\n", "one (x)\n", true},
		{"one\ntwo\n", "one\n", false},
		{"", "one\n", false},
	} {
		if printed(tt.got, tt.want) != tt.is {
			t.Errorf("%q is %q: %t", tt.got, tt.want, !tt.is)
		}
	}
}

// mendSteps are those of docs/mend-a-script.md.
var mendSteps = pageSteps{before: func(m *manual, b *manualBlock) string {
	if shell, err := filepath.EvalSymlinks("/bin/sh"); err != nil || filepath.Base(shell) != "dash" {
		return "the page shows what dash says; /bin/sh is another shell here"
	}
	if b.machine == "site-c" && m.machines["site-c"] == nil {
		if os.Geteuid() != 0 {
			return "only root can give a script to another user"
		}
		h := m.machine("site-c")
		h.run("jetstream user add bob")
		nineFaults(m.t, filepath.Join(h.dir, "lib", "triggers"))
	}
	return ""
}}

// nineFaults makes the directory that the page tells of.
func nineFaults(t *testing.T, dir string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{
		"launch": "#!/bin/sh\r\n", "on.createUsr": "#!/bin/sh\n", "recv.transfercomplete": "#!/bin/sh\n",
		"send.destinationCreated": "#!/usr/bin/python2.4\n", "send.destinationDeleted": "#!/bin/sh\n", "send.transferComplete": "#!/bin/sh\n",
		"send.transferFailed": "#!/bin/sh\n", "send.transferStarted": "echo started\n", "log.txt": "written by a script\n",
	} {
		putScript(t, at(name), text)
	}
	for _, err := range []error{
		os.Symlink("gone", at("recv.transferComplete")), os.Mkdir(at("recv.transferFailed"), 0o700), os.Chmod(at("log.txt"), 0o600),
		os.Chmod(at("send.destinationDeleted"), 0o600), os.Chmod(at("send.transferComplete"), 0o777), os.Chown(at("send.transferFailed"), 4711, -1),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}
