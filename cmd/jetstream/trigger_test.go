//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// trigger runs `jetstream trigger ...` against l as its superuser.
func (l *live) trigger(args ...string) outcome {
	l.t.Helper()
	return jetstream(l.t, map[string]string{
		"JETSTREAM_API_HOST": l.host, "JETSTREAM_API_PORT": strconv.Itoa(l.apiPort),
		"JETSTREAM_API_USER": "root", "JETSTREAM_API_PASSWORD": l.password,
	}, `{"destination": "from stdin"}`, append([]string{"trigger"}, args...)...)
}

func (l *live) wants(code int, parts []string, args ...string) string {
	l.t.Helper()
	got := l.trigger(args...)
	if got.code != code {
		l.t.Fatalf("jetstream trigger %s: exit status %d: %s", strings.Join(args, " "), got.code, got.stderr)
	}
	for _, part := range parts {
		if !strings.Contains(got.stdout+got.stderr, part) {
			l.t.Errorf("jetstream trigger %s lacks %q:\n%s%s", strings.Join(args, " "), part, got.stdout, got.stderr)
		}
	}
	return got.stdout
}

// TestFailedRunIsFoundAndRetried is what an operator does about a script that failed.
func TestFailedRunIsFoundAndRetried(t *testing.T) {
	l := newLive(t)
	l.script("send.destinationCreated", "#!/bin/sh\necho \"about $1\"\necho oh no >&2\nexit 3\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-log")
	out := l.wants(0, []string{"is queued as run "}, "emit", "--yes", "send.destinationCreated", "--param", "destination=site-b:1")
	run := strings.TrimSpace(out[strings.LastIndex(out, " "):])
	l.awaitRuns("send.destinationCreated", 1)
	l.wants(0, []string{run[len(run)-8:], "failed", "oh no"}, "runs", "--status=failed")
	l.wants(0, []string{"failed", "the script ended with exit status 3", "about site-b:1", "oh no", "jetstream trigger retry " + run}, "show", run)
	l.wants(0, []string{`"stderr"`, "oh no"}, "show", run, "--json")
	l.script("send.destinationCreated", "#!/bin/sh\necho mended\n")
	l.wants(0, []string{"attempt 2 at send.destinationCreated is queued as run "}, "retry", run)
	l.awaitRuns("send.destinationCreated", 2)
	l.wants(0, []string{"send.destinationCreated", "success"}, "list")

	l.wants(0, []string{"queue: paused"}, "pause")
	out = l.wants(0, nil, "emit", "--yes", "send.destinationCreated", "@-")
	waiting := strings.TrimSpace(out[strings.LastIndex(out, " "):])
	l.wants(1, []string{"conflict", "queued"}, "retry", waiting)
	l.wants(0, []string{"from stdin", "queued"}, "show", waiting)
	l.wants(0, []string{"1 waiting"}, "list")
	l.wants(0, []string{"is cancelled"}, "cancel", waiting)
	l.wants(1, []string{"conflict", "has ended as cancelled"}, "cancel", waiting)
	l.wants(0, []string{"queue: open"}, "resume")

	l.wants(1, []string{"notFound", filepath.Join(l.triggers, "launch")}, "emit", "--yes", "launch")
	l.wants(1, []string{"did you mean launch?"}, "emit", "--yes", "lanch")
	l.wants(1, []string{"has no parameter nonsense"}, "emit", "--yes", "send.destinationCreated", `{"nonsense": 1}`)
	l.wants(2, []string{"NAME=VALUE"}, "emit", "launch", "--param", "port")
	l.wants(2, []string{"must be a JSON object"}, "emit", "on.getUsers", "--param", "result=x")
	l.wants(1, []string{"notFound"}, "show", "none")
}

// TestCheckFindsWhatIsWrong needs no server.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	l := newLive(t)
	check := func(args ...string) outcome {
		t.Helper()
		return jetstream(t, map[string]string{"PATH": os.Getenv("PATH")}, "",
			append([]string{"trigger", "check", "--persistent-state-dir=" + l.state}, args...)...)
	}
	l.script("launch", "echo no first line\n")
	if err := os.WriteFile(filepath.Join(l.triggers, "log.txt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := check(l.triggers); got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, "note: ") || strings.Contains(got.stdout, "log.txt") {
		t.Errorf("only a note: %+v", got)
	}
	l.script("recv.transfercomplete", "#!/bin/sh\n")
	l.script("send.nonsense", "#!/bin/sh\n")
	if got := check(l.triggers); got.code != 1 || !strings.Contains(got.stdout, "did you mean recv.transferComplete?") || !strings.Contains(got.stdout, "send.nonsense is no event") {
		t.Errorf("two faults: %+v", got)
	}
	if got := check(l.triggers, "--json"); got.code != 1 || len(object(t, []byte(got.stdout))["findings"].([]any)) != 3 {
		t.Errorf("as JSON: %+v", got)
	}
	// Alice's files hold the directory of the scripts.
	inside := filepath.Join(l.files, "triggers")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := check(inside); got.code != 0 || !strings.Contains(got.stdout, "warning: user alice: ") || !strings.Contains(got.stdout, "may only be read") {
		t.Errorf("in a sandbox: %+v", got)
	}
	if got := check(l.triggers, "--sandbox-dir="+l.triggers+"/%u"); got.code != 1 || !strings.Contains(got.stdout, "lies in the trigger directory") {
		t.Errorf("sandboxes in the directory: %+v", got)
	}
	if got := check(filepath.Join(l.triggers, "none")); got.code != 1 || !strings.Contains(got.stdout, "does not exist") {
		t.Errorf("no directory: %+v", got)
	}
	if got := check(filepath.Join(l.triggers, "launch")); got.code != 1 || strings.Count(got.stdout, "\n") != 1 || !strings.Contains(got.stdout, "is no directory") {
		t.Errorf("a script in place of the directory: %+v", got)
	}
	if got := check(); got.code != 2 || !strings.Contains(got.stderr, "name the trigger directory") {
		t.Errorf("no name: %+v", got)
	}
}
