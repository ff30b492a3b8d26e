package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/server"
)

// TestFullDiskFailsTheChangeNotTheServer: what cannot be saved fails, and its
// event is dropped and counted.
func TestFullDiskFailsTheChangeNotTheServer(t *testing.T) {
	l := newLive(t)
	if err := syscall.Mount("tmpfs", l.state, "tmpfs", 0, "size=16m,mode=700"); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(l.state, syscall.MNT_DETACH) })
	l.addUser("alice", false)
	l.script("on.send.createManifest", "#!/bin/sh\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-on-api")
	fill := filepath.Join(l.state, "fill")
	if err := os.WriteFile(fill, make([]byte, 17<<20), 0o600); err == nil {
		t.Fatal("the disk could not be filled")
	}
	many := map[string]string{}
	for i := range 9_000 {
		many[fmt.Sprintf("/from/%d", i)] = fmt.Sprintf("/to/%s/%d", strings.Repeat("x", 60), i)
	}
	status, reply := l.rest("alice", "POST", "/api/v1/send/manifests", map[string]any{"fileMappings": many})
	if reply.Status != api.CodeUnavailable || !strings.Contains(reply.Message, "full") {
		t.Errorf("a change that cannot be saved: %d %s %s", status, reply.Status, reply.Message)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	l.stop()
	if !strings.Contains(l.console.String(), `"triggersDropped":1`) {
		t.Errorf("the event is not counted:\n%s", l.console)
	}
}

// TestFullDiskTurnsHealthRed: while nothing can be saved the server answers
// so, is red everywhere and says why; with room again it is green, also before
// anything happens, and runs every event that it had accepted.
func TestFullDiskTurnsHealthRed(t *testing.T) {
	l := newLive(t)
	if err := syscall.Mount("tmpfs", l.state, "tmpfs", 0, "size=16m,mode=700"); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(l.state, syscall.MNT_DETACH) })
	l.addUser("alice", false)
	l.addUser("root", true)
	l.script("send.destinationCreated", "#!/bin/sh\necho $1 >> created.txt\n")
	l.script("on.getServerInfo", "#!/bin/sh\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log")
	l.callAs("root", "pauseTriggers", nil) // what is accepted waits
	wantHealth := func(status int, faults ...string) {
		t.Helper()
		if got, _ := l.get("", "/healthz"); got != status {
			t.Errorf("/healthz answers %d, want %d", got, status)
		}
		got, text := l.get("root", "/healthz?verbose")
		var reply struct{ Result server.Health }
		if err := json.Unmarshal([]byte(text), &reply); err != nil {
			t.Fatal(err)
		}
		f := reply.Result
		if got != status || len(f.Faults) != len(faults) || (f.Database == "ok") != (status == 200) || f.Triggers.SaveFailing != (status != 200) {
			t.Errorf("/healthz?verbose answers %d %s, want %d", got, text, status)
		}
		for _, want := range faults {
			if !strings.Contains(strings.Join(f.Faults, "\n"), want) {
				t.Errorf("the faults %q do not say %q", f.Faults, want)
			}
		}
	}
	wantMetrics := func(lines ...string) {
		t.Helper()
		_, text := l.get("root", "/metrics")
		for _, want := range lines {
			if !strings.Contains(text, want+"\n") {
				t.Errorf("there is no %q in:\n%s", want, text)
			}
		}
	}
	wantHealth(200)
	wantMetrics("jetstream_trigger_save_failing 0", "jetstream_database_save_failing 0")

	accepted := 0
	create := func() (int, api.Reply) {
		return l.rest("alice", "POST", "/api/v1/send/destinations", map[string]any{
			"destinationAddress": "127.0.0.1", "destinationPort": 1 + accepted, "userData": map[string]string{"a": strings.Repeat("x", 1000)},
		})
	}
	for ; accepted < 20; accepted++ {
		if status, reply := create(); status != 201 {
			t.Fatal(status, reply.Message)
		}
	}
	fill := filepath.Join(l.state, "fill")
	if err := os.WriteFile(fill, make([]byte, 17<<20), 0o600); err == nil {
		t.Fatal("the disk could not be filled")
	}
	for refused := false; !refused; {
		status, reply := create()
		switch {
		case status == 201:
			if accepted++; accepted > 10_000 {
				t.Fatal("the disk does not become full")
			}
		case status == 503 && reply.Status == api.CodeUnavailable && strings.Contains(reply.Message, "disk is full"):
			refused = true
		default:
			t.Fatalf("refused as %d %s %q", status, reply.Status, reply.Message)
		}
	}
	// A command that saves nothing succeeds, but its event does not.
	if status, reply := l.rest("alice", "GET", "/api/v1/server", nil); status != 200 {
		t.Errorf("getServerInfo: %d %s", status, reply.Message)
	}
	wantHealth(503, "trigger events cannot be saved", "the server's disk is full: make room where its state directory lies", "less than 819 KiB (5 %) is free in "+l.state)
	wantMetrics("jetstream_trigger_save_failing 1", "jetstream_database_save_failing 1", `jetstream_trigger_dropped_total{reason="unsaved"} 1`,
		fmt.Sprintf("jetstream_trigger_queue_length %d", accepted))

	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); { // the disk is tried once a second
		if status, _ := l.get("", "/healthz"); status == 200 {
			break
		}
	}
	wantHealth(200)
	wantMetrics("jetstream_trigger_save_failing 0", "jetstream_database_save_failing 0", `jetstream_trigger_dropped_total{reason="unsaved"} 1`)
	l.callAs("root", "resumeTriggers", nil)
	last := l.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 60_000})
	if last["destinationId"] == "" {
		t.Errorf("with room again: %v", last)
	}
	l.awaitRuns("send.destinationCreated", accepted+1)
	b, err := os.ReadFile(filepath.Join(l.triggers, "created.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i := range accepted {
		fmt.Fprintf(&want, "127.0.0.1:%d\n", 1+i)
	}
	want.WriteString("127.0.0.1:60000\n")
	if string(b) != want.String() {
		t.Errorf("%d were accepted; the scripts ran for\n%s", accepted+1, b)
	}
}

// TestNothingChangesWithoutTheStateDirectory: nor what is not saved in it.
func TestNothingChangesWithoutTheStateDirectory(t *testing.T) {
	l := newLive(t)
	l.start()
	call := func(path string) (int, api.Reply) {
		return l.rest("alice", "POST", "/api/v1/"+path, map[string]any{"path": "/reel"})
	}
	if err := os.Rename(l.state, l.state+".away"); err != nil {
		t.Fatal(err)
	}
	if status, reply := call("files/directories"); status != 503 || !strings.Contains(reply.Message, l.state+" is gone or was replaced") {
		t.Errorf("mkdir answers %d %s", status, reply.Message)
	}
	if status, _ := l.get("alice", "/api/v1/files?path=/"); status != 200 {
		t.Errorf("ls answers %d", status)
	}
	if err := os.Rename(l.state+".away", l.state); err != nil {
		t.Fatal(err)
	}
	if status, reply := call("files/directories"); status != 201 {
		t.Errorf("with the directory back mkdir answers %d %s", status, reply.Message)
	}
}
