package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"jetstream/internal/api"
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
