//go:build unix

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jetstream/internal/client"
)

// userCommand runs `jetstream user ...` on the server's state directory; a new password
// is testPassword.
func (l *live) userCommand(args ...string) {
	l.t.Helper()
	env := map[string]string{userPasswordVariable: testPassword}
	var out, errs bytes.Buffer
	args = append([]string{"user", "--persistent-state-dir=" + l.state}, args...)
	if code := run(l.t.Context(), args, func(k string) string { return env[k] }, strings.NewReader(""), &out, &errs); code != 0 {
		l.t.Fatalf("jetstream %q: %d %s", args, code, errs.String())
	}
}

// TestNewUserOfAFormerName: who is made under the name of a removed user has
// nothing of theirs, whichever way that was; superusers see it still, and what
// had not ended does not go on.
func TestNewUserOfAFormerName(t *testing.T) {
	t.Parallel()
	for way, anew := range map[string]func(*live){
		"by the API": func(l *live) {
			l.callAs("root", "deleteUser", map[string]any{"name": "alice", "force": true})
			l.callAs("root", "createUser", map[string]any{"name": "alice", "password": testPassword, "sandbox": l.files})
		},
		"in other letters": func(l *live) {
			l.callAs("root", "deleteUser", map[string]any{"name": "alice", "force": true})
			l.callAs("root", "createUser", map[string]any{"name": "Alice", "password": testPassword, "sandbox": l.files})
		},
		"beside the server": func(l *live) {
			l.userCommand("remove", "alice")
			l.userCommand("add", "alice", "--sandbox="+l.files)
		},
		"while it is stopped": func(l *live) {
			l.stop()
			l.userCommand("remove", "alice")
			l.userCommand("add", "alice", "--sandbox="+l.files)
			l.start(l.flags...)
		},
	} {
		t.Run(way, func(t *testing.T) { formerName(t, anew) })
	}
}

func formerName(t *testing.T, anew func(*live)) {
	l, to := newLive(t), newLive(t)
	to.addUser("bob", false)
	if err := os.WriteFile(filepath.Join(l.files, "file"), []byte("of a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil { // nobody answers there yet
		t.Fatal(err)
	}
	l.start()
	m := l.call("send.createManifest", map[string]any{"fileMappings": map[string]string{"/file": "/copy"}})["manifestId"]
	l.call("send.waitForManifest", map[string]any{"manifestId": m})
	transfer := func(port int, user string) any {
		d := l.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": port})
		return l.call("send.createTransfer", map[string]any{
			"manifestId": m, "destinationId": d["destinationId"], "username": user, "password": testPassword,
		})["transferId"]
	}
	received := transfer(l.recvPort, "alice")
	if got := l.call("send.waitForTransfer", map[string]any{"transferId": received}); got["status"] != "complete" {
		t.Fatalf("to the server itself: %v", got)
	}
	pending := transfer(port, "bob")

	anew(l)
	lists := map[string]string{"send.getDestinations": "destinations", "send.getManifests": "manifests",
		"send.getTransfers": "transfers", "recv.getTransfers": "transfers", "recv.getSources": "sources", "getEventLog": "events"}
	for command, member := range lists {
		if got := l.call(command, nil)[member].([]any); len(got) != 0 {
			t.Errorf("%s shows what is not theirs: %v", command, got)
		}
		if got := l.callAs("root", command, nil)[member].([]any); len(got) == 0 {
			t.Errorf("%s shows a superuser nothing of it", command)
		}
	}
	for command, params := range map[string]map[string]any{
		"send.getManifest": {"manifestId": m}, "send.getTransfer": {"transferId": received}, "recv.getTransfer": {"transferId": received},
	} {
		if status, reply := l.rest("alice", "POST", "/api/v1/command", map[string]any{"request": command, "parameters": params}); status != 404 {
			t.Errorf("%s: %d %s", command, status, reply.Message)
		}
	}
	status, reply := l.rest("alice", "POST", "/api/v1/send/destinations", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": port})
	if status != 201 {
		t.Errorf("the same destination: %d %s, want a new one", status, reply.Message)
	}
	first := (<-l.follow("alice", client.EventOptions{After: new(int64)})).Type
	if first != "send.destinationCreated" {
		t.Errorf("the event stream begins with %s", first)
	}

	to.start(fmt.Sprintf("--recv-port=%d", port))
	got := l.callAs("root", "send.waitForTransfer", map[string]any{"transferId": pending})
	if s := got["status"]; s != "error" && s != "cancelled" || got["owner"] != "alice (removed)" {
		t.Errorf("what was pending went on: %v", got)
	}
	if _, err := os.Stat(filepath.Join(to.files, "copy")); err == nil {
		t.Error("the removed user's file was sent")
	}
}
