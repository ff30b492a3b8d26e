//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// step is a command of docs/mend-a-script.md and what it is said to print.
type step struct{ command, output string }

// transcript reads the steps below a heading that begins so.
func transcript(t *testing.T, heading string) (steps []step) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "mend-a-script.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(b), "\n## "+heading)
	if section, _, _ = strings.Cut(section, "\n## "); !found {
		t.Fatalf("docs/mend-a-script.md has no %q", heading)
	}
	gap := "" // a blank line belongs to an output only where that goes on
	for line := range strings.Lines(section) {
		text, inside := strings.CutPrefix(line, "    ")
		command, begins := strings.CutPrefix(text, "$ ")
		switch {
		case strings.TrimSpace(line) == "":
			gap += "\n"
			continue
		case inside && begins:
			steps = append(steps, step{command: strings.TrimSpace(command)})
		case inside:
			steps[len(steps)-1].output += gap + text
		}
		gap = ""
	}
	return steps
}

// withoutTimes is an output without what differs from run to run.
func withoutTimes(text string) string {
	for _, v := range []struct{ pattern, name string }{
		{`[0-9a-f]{64}`, "SUM"},
		{`[0-9a-f]{32}`, "ID"},
		{`\b[0-9a-f]{8}\b`, "SHORT"},
		{`\d{4}-\d\d-\d\d`, "DATE"},
		{`\d\d:\d\d:\d\d`, "TIME"},
		{`\b[0-9.]+(ms|s)\b`, "TOOK"},
		{` +`, " "},
		{` *(\n|$)`, "$1"},
	} {
		text = regexp.MustCompile(v.pattern).ReplaceAllString(text, v.name)
	}
	return text
}

// replay carries out the steps, with jetstream for its commands and a shell for
// the rest, and holds what they print against what they are said to print.
func (l *live) replay(steps []step) {
	l.t.Helper()
	ids := regexp.MustCompile(`\b[0-9a-f]{32}\b|\b[0-9a-f]{8}\b`)
	known := map[string]string{} // the document's id: that of now
	shortened := strings.NewReplacer(l.triggers, "triggers", l.files, "files")
	code := 0
	for _, s := range steps {
		command := ids.ReplaceAllStringFunc(s.command, func(id string) string { return known[id] })
		if dates := regexp.MustCompile(`\d{4}-\d\d-\d\d`); strings.HasPrefix(command, "cat ") {
			command = dates.ReplaceAllString(command, "*")
		}
		var got string
		switch args := strings.Fields(command); {
		case command == "echo $?":
			got = strconv.Itoa(code) + "\n"
		case strings.HasPrefix(command, "jetstream trigger check "):
			o := jetstream(l.t, map[string]string{"PATH": os.Getenv("PATH")}, "", "trigger", "check", l.triggers, "--persistent-state-dir="+l.state)
			got, code = o.stdout+o.stderr, o.code
		case strings.HasPrefix(command, "jetstream trigger "):
			o := l.trigger(args[2:]...)
			got, code = o.stdout+o.stderr, o.code
		default:
			cmd := exec.Command("/bin/sh", "-c", command)
			cmd.Dir = filepath.Dir(l.triggers)
			b, err := cmd.CombinedOutput()
			if err != nil {
				l.t.Fatalf("%s: %v\n%s", command, err, b)
			}
			got = string(b)
		}
		got = shortened.Replace(got)
		if withoutTimes(got) != withoutTimes(s.output) {
			l.t.Fatalf("%s prints\n%s\ndocs/mend-a-script.md says\n%s", command, got, s.output)
		}
		now := ids.FindAllString(got, -1)
		for i, id := range ids.FindAllString(s.output, -1) {
			if known[id] != "" && known[id] != now[i] {
				l.t.Errorf("%s prints %s where docs/mend-a-script.md goes on with %s, which was %s", command, now[i], id, known[id])
			}
			known[id] = now[i]
		}
		if strings.HasPrefix(command, "jetstream trigger retry ") {
			l.awaitRuns("recv.transferComplete", 2)
		}
	}
}

// TestTranscriptOfTheCheck makes the directory that docs/mend-a-script.md tells of.
func TestTranscriptOfTheCheck(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a script to another user")
	}
	l := newLive(t)
	for name, text := range map[string]string{
		"launch": "#!/bin/sh\r\n", "on.createUsr": "#!/bin/sh\n", "recv.transfercomplete": "#!/bin/sh\n",
		"send.destinationCreated": "#!/usr/bin/python2.4\n", "send.destinationDeleted": "#!/bin/sh\n", "send.transferComplete": "#!/bin/sh\n",
		"send.transferFailed": "#!/bin/sh\n", "send.transferStarted": "echo started\n", "log.txt": "written by a script\n",
	} {
		l.script(name, text)
	}
	at := func(name string) string { return filepath.Join(l.triggers, name) }
	for _, err := range []error{
		os.Symlink("gone", at("recv.transferComplete")), os.Mkdir(at("recv.transferFailed"), 0o700), os.Chmod(at("log.txt"), 0o600),
		os.Chmod(at("send.destinationDeleted"), 0o600), os.Chmod(at("send.transferComplete"), 0o777), os.Chown(at("send.transferFailed"), 4711, -1),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	l.replay(transcript(t, "A directory with nine faults"))
}

// TestTranscriptOfAFailure does what docs/mend-a-script.md tells of.
func TestTranscriptOfAFailure(t *testing.T) {
	if shell, err := filepath.EvalSymlinks("/bin/sh"); err != nil || filepath.Base(shell) != "dash" {
		t.Skip("the transcript shows what dash says; /bin/sh is another shell here")
	}
	if _, err := os.Stat("/srv/checksums"); err == nil {
		t.Skip("the transcript tells of a machine without /srv/checksums")
	}
	l := newLive(t)
	l.addUser("bob", false)
	steps := transcript(t, "A script that failed")
	l.script("recv.transferComplete", steps[0].output) // as it is shown
	l.start("--trigger-dir="+l.triggers, "--trigger-log")
	source := filepath.Join(l.files, "a.mov")
	if err := os.WriteFile(source, []byte("moving picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	sent := jetstream(t, map[string]string{
		"JETSTREAM_API_HOST": l.host, "JETSTREAM_API_PORT": strconv.Itoa(l.apiPort), "JETSTREAM_API_USER": "bob",
		"JETSTREAM_API_PASSWORD": l.password, "JETSTREAM_REMOTE_PASSWORD": l.password,
	}, "", "send", "--accept-key", source, "bob@127.0.0.1:"+strconv.Itoa(l.recvPort)+":/in")
	if sent.code != 0 {
		t.Fatalf("%+v", sent)
	}
	l.awaitRuns("recv.transferComplete", 1)
	l.replay(steps)
	id := regexp.MustCompile(`[0-9a-f]{32}`).FindString(sent.stdout)
	if o := l.trigger("runs", "--transfer", id); o.code != 0 || strings.Count(o.stdout, "recv.transferComplete") != 2 {
		t.Errorf("the runs about transfer %s: %+v", id, o)
	}
	if o := l.trigger("runs", "--transfer", strings.Repeat("0", 32)); o.code != 0 || strings.Contains(o.stdout, "recv.transferComplete") {
		t.Errorf("the runs about another transfer: %+v", o)
	}
}
