//go:build unix

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"jetstream/internal/server"
)

// file puts a file of that name into the sender's files and returns its path.
func (p *pair) file(name string) string {
	p.from.t.Helper()
	if err := os.WriteFile(filepath.Join(p.from.files, name), []byte(name), 0o600); err != nil {
		p.from.t.Fatal(err)
	}
	return "/" + name
}

// clientKey is some public key.
func clientKey(call int) string {
	sum := sha256.Sum256([]byte{byte(call)})
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// trusted is the key of a client that the receiver has just been told to trust.
func (p *pair) trusted(call int) string {
	p.to.callAs("root", "recv.addAuthorizedClient", map[string]any{"publicKey": clientKey(call)})
	return clientKey(call)
}

func sourceVaries() []string {
	return []string{"sourcePort", "connected", "activeTransferCount", "inactiveTransferCount", "completeTransferCount", "aveRecvRate", "aveRecvRateWindow"}
}

// again waits for the end of a server that is stopping and starts it anew.
func (l *live) again() {
	l.t.Helper()
	if code := l.stop(); code != 0 {
		l.t.Errorf("the server ended with status %d", code)
	}
	l.start(l.flags...)
}

func TestTerminateAnswersAndStops(t *testing.T) {
	l := newLive(t)
	l.start("--trigger-dir="+l.triggers, "--trigger-on-api")
	out := filepath.Join(t.TempDir(), "out")
	l.script("on.terminate", fmt.Sprintf("#!/bin/sh\necho \"$2\" >>%s\n", out))
	if status, _ := l.rest("alice", "POST", "/api/v1/server/terminate", nil); status != 403 {
		t.Errorf("a common user: %d", status)
	}
	status, reply := l.rest("root", "POST", "/api/v1/server/terminate", nil)
	if status != 200 || reply.Message != "The server is stopping." {
		t.Fatalf("%d %q", status, reply.Message)
	}
	if code := <-l.ended; code != 0 { // by itself: nobody cancels it
		t.Errorf("exit status %d", code)
	}
	l.ended <- 0 // for stop
	if _, err := os.Stat(filepath.Join(l.state, server.EndpointFile)); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", server.EndpointFile, err)
	}
	// The reply was in the caller's hands, so its event runs, here or at the
	// next start.
	l.again()
	l.callAs("root", "getServerInfo", nil)
	for {
		runs := l.callAs("root", "getTriggerRuns", map[string]any{"event": "on.terminate"})["runs"].([]any)
		if len(runs) != 1 {
			t.Fatalf("%d runs of on.terminate", len(runs))
		}
		if runs[0].(map[string]any)["endTime"] != nil {
			break
		}
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != "success\n" {
		t.Errorf("on.terminate wrote %q, %v", b, err)
	}
}

// eventType is a list of one type that is written alike into a query and as a
// flag.
type eventType []string

func (e eventType) String() string { return e[0] }
