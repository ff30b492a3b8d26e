//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/server"
)

// gate is a script that waits until the test lets it go: it reads from a pipe.
func gate(t *testing.T) (script string, open func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return "#!/bin/sh\necho sleeper $JETSTREAM_ATTEMPT >> log.txt\nread line < " + path + "\n",
		func() {
			if _, err := f.WriteString("go\n"); err != nil {
				t.Error(err)
			}
		}
}

// A sleeping script holds up nobody: the API answers, and what happened
// meanwhile runs after it, in order.
func TestSleepingScriptBlocksOnlyTriggers(t *testing.T) {
	l := newLive(t)
	script, open := gate(t)
	l.script("on.send.createManifest", script)
	l.script("on.send.createDestination", "#!/bin/sh\nprintf '%s\\n' \"$1\" | sed 's/.*\"destinationPort\":\\([0-9]*\\).*/\\1/' >> log.txt\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log")
	l.call("send.createManifest", map[string]any{"fileMappings": map[string]string{"/x": "/x"}})
	l.awaitLog(`"msg":"trigger started"`, 1)

	const calls = 1000
	want := "sleeper 1\n"
	for i := range 20 {
		l.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 1000 + i})
		want += fmt.Sprintln(1000 + i)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range (calls - 20) / 8 {
				if status, reply := l.rest("alice", "GET", "/api/v1/send/destinations?limit=1", nil); status != 200 {
					t.Errorf("%d %s", status, reply.Message)
					return
				}
			}
		})
	}
	wg.Wait()
	if strings.Contains(l.console.String(), `"msg":"trigger ended"`) {
		t.Fatal("the sleeper ended before the calls were answered: nothing was shown")
	}
	open()
	l.awaitRuns("on.send.createDestination", 20)
	wantLog(t, l, want)
}

// Without --trigger-log nothing of a failing script is in the log.
func TestTriggersAreSilent(t *testing.T) {
	l := newLive(t)
	logFile := filepath.Join(t.TempDir(), "server.log")
	l.script("launch", "#!/bin/sh\necho shout; echo scream >&2; exit 3\n")
	l.script("on.getServerInfo", "#!/bin/sh\n: > done\n")
	l.start("--trigger-dir="+l.triggers, "--log="+logFile)
	run := l.waitForRun("launch")
	if run["status"] != "failed" || run["exitCode"] != 3.0 || run["stdout"].(map[string]any)["text"] != "shout\n" {
		t.Errorf("the record of the run: %v", run)
	}
	if n := len(l.callAs("root", "getTriggerRuns", map[string]any{"event": "on.getServerInfo"})["runs"].([]any)); n != 0 {
		t.Errorf("%d on.* runs without --trigger-on-api", n)
	}
	l.stop()
	for place, text := range map[string]string{"the console": l.console.String(), "the log file": read(t, logFile)} {
		for _, word := range []string{"shout", "scream", "trigger started", "trigger ended", "exitCode"} {
			if strings.Contains(text, word) {
				t.Errorf("%q is in %s:\n%s", word, place, text)
			}
		}
	}
}

// With --trigger-log the runs are in the log, and what a script writes is on
// the console only.
func TestTriggerLog(t *testing.T) {
	l := newLive(t)
	logFile := filepath.Join(t.TempDir(), "server.log")
	l.script("launch", "#!/bin/sh\necho shout; echo scream >&2; exit 3\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-log", "--log="+logFile)
	l.awaitRuns("launch", 1)
	l.stop()
	console, file := l.console.String(), read(t, logFile)
	for _, word := range []string{"trigger started", "trigger ended", `"exitCode":3`} {
		if !strings.Contains(console, word) || !strings.Contains(file, word) {
			t.Errorf("%q is not in both logs:\n%s\n%s", word, console, file)
		}
	}
	for _, word := range []string{"shout", "scream"} {
		if !strings.Contains(console, word) || strings.Contains(file, word) {
			t.Errorf("%q must be on the console and not in the log file:\n%s\n%s", word, console, file)
		}
	}
}

// waitForRun asks until the newest run of event has ended. It holds the
// database's promise, not the log's.
func (l *live) waitForRun(event string) map[string]any {
	l.t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-again.C {
		status, reply := l.rest("root", "GET", "/api/v1/trigger-runs?limit=1&event="+event, nil)
		if status != 200 {
			l.t.Fatalf("%d %s", status, reply.Message)
		}
		runs := object(l.t, reply.Result)["runs"].([]any)
		if len(runs) == 1 {
			run := runs[0].(map[string]any)
			if s := run["status"]; s != "queued" && s != "running" {
				return run
			}
		}
	}
	l.t.Fatalf("no run of %s has ended within two minutes:\n%s", event, l.console)
	return nil
}

// What is said at start when something is wrong, each with the way out.
func TestFaultsAtStartAreReported(t *testing.T) {
	t.Parallel()
	taken := newLive(t)
	taken.start()
	tests := []struct {
		name string
		flag func(l *live) []string
		want string
		code int
	}{
		{"API port taken", func(*live) []string { return []string{fmt.Sprintf("--api-port=%d", taken.apiPort)} }, "is taken by another program", 1},
		{"receive port taken", func(*live) []string { return []string{fmt.Sprintf("--recv-port=%d", taken.recvPort)} }, "--recv-port", 1},
		{"state locked", func(*live) []string { return []string{"--persistent-state-dir=" + taken.state} }, fmt.Sprintf("by another JetStream process (pid %d)", os.Getpid()), 1},
		{"trigger directory missing", func(l *live) []string { return []string{"--trigger-dir=" + l.triggers + "/none"} }, "does not exist", 1},
		{"trigger directory open", func(l *live) []string {
			if err := os.Chmod(l.triggers, 0o777); err != nil {
				t.Fatal(err)
			}
			return []string{"--trigger-dir=" + l.triggers}
		}, "may be written by everybody; chmod o-w it", 1},
		{"trigger directory foreign", func(l *live) []string {
			if os.Geteuid() != 0 {
				t.Skip("SKIPPED: only root can give a directory away")
			}
			if err := os.Chown(l.triggers, 12345, 12345); err != nil {
				t.Fatal(err)
			}
			return []string{"--trigger-dir=" + l.triggers}
		}, "belong", 1},
		{"sandbox in the trigger directory", func(l *live) []string {
			return []string{"--trigger-dir=" + l.triggers, "--sandbox-dir=" + l.triggers + "/%u"}
		}, "lies in the trigger directory", 1},
		{"sandbox in the state directory", func(l *live) []string { return []string{"--sandbox-dir=" + l.state + "/files"} }, "lies in the state directory", 1},
		{"triggers in the state directory", func(l *live) []string { return []string{"--trigger-dir=" + l.state} }, "--trigger-dir STATE and --persistent-state-dir STATE", 2},
		{"triggers in the spool", func(l *live) []string {
			spool := filepath.Join(l.state, "spool")
			if err := os.Mkdir(spool, 0o700); err != nil {
				t.Fatal(err)
			}
			return []string{"--trigger-dir=" + spool}
		}, "--trigger-dir STATE/spool and --persistent-state-dir STATE", 2},
		{"triggers around the state directory, by a link", func(l *live) []string {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(filepath.Dir(l.state), link); err != nil {
				t.Fatal(err)
			}
			return []string{"--trigger-dir=" + link}
		}, "/link and --persistent-state-dir STATE", 2},
		{"beyond loopback without TLS", func(*live) []string { return []string{"--api-host=0.0.0.0"} }, "--allow-plaintext", 2},
		{"certificate without key", func(*live) []string { return []string{"--tls-cert=x"} }, "go together", 2},
		{"certificate missing", func(*live) []string { return []string{"--tls-cert=/nowhere", "--tls-key=/nowhere"} }, "--tls-cert", 1},
		{"port out of range", func(*live) []string { return []string{"--api-port=70000"} }, "--api-port", 2},
		{"no address", func(*live) []string { return []string{"--api-host=a:b"} }, "is no address", 2},
		{"no external address", func(*live) []string { return []string{"--external-address=a b"} }, `--external-address "a b" is no host name`, 2},
		{"a URL as external address", func(*live) []string { return []string{"--external-address=https://a"} }, "give it without scheme and path", 2},
		{"triggers without a directory", func(*live) []string { return []string{"--trigger-on-api"} }, "need --trigger-dir", 2},
		{"log nowhere", func(*live) []string { return []string{"--log=/nowhere/x.log"} }, "--log", 1},
		{"unknown flag", func(*live) []string { return []string{"--trigger-dri=x"} }, "--trigger-dir", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLive(t)
			out := &consoleText{}
			args := append([]string{"server", "--api-port=0", "--recv-port=0", "--recv-host=127.0.0.1", "--persistent-state-dir=" + l.state}, tt.flag(l)...)
			code := run(t.Context(), args, os.Getenv, nil, out, out)
			if want := strings.ReplaceAll(tt.want, "STATE", l.state); code != tt.code || !strings.Contains(out.String(), want) {
				t.Errorf("exit status %d, want %d with %q:\n%s", code, tt.code, want, out)
			}
			if _, err := os.Stat(filepath.Join(l.state, server.EndpointFile)); err == nil {
				t.Error("a server that did not start left an endpoint.json")
			}
		})
	}
}

// A sandbox that overlaps the trigger directory may be read, never written.
func TestSandboxAroundTheTriggers(t *testing.T) {
	p := newPair(t)
	p.to.files = filepath.Dir(p.to.triggers) // holds triggers and state
	p.to.addUser("eve", false)
	x := p.from.call("send.createTransfer", map[string]any{
		"manifestId": p.manifest(), "destinationId": p.destination(), "username": "eve", "password": testPassword, "destinationPath": "/triggers"})
	got := p.from.call("send.waitForTransfer", map[string]any{"transferId": x["transferId"]})
	if message, _ := got["errorMessage"].(string); got["status"] != "error" || !strings.Contains(message, p.to.files) || !strings.Contains(message, p.to.state) {
		t.Errorf("%v", got)
	}
	if names, err := os.ReadDir(p.to.triggers); err != nil || len(names) != 0 {
		t.Errorf("the trigger directory holds %v (%v)", names, err)
	}
	// As a source it may be read, but never the state directory.
	status, reply := p.to.rest("eve", "POST", "/api/v1/send/manifests", map[string]any{"fileMappings": map[string]string{"/state": "/state"}})
	if status == 201 {
		m := object(t, reply.Result)
		_, reply = p.to.rest("eve", "GET", "/api/v1/send/manifests/"+m["manifestId"].(string)+"/wait", nil)
		if m := object(t, reply.Result); m["status"] != "error" {
			t.Errorf("a manifest of the state directory: %v", m)
		}
	} else if reply.Status != api.CodeForbidden {
		t.Errorf("a manifest of the state directory: %d %s", status, reply.Message)
	}
}
