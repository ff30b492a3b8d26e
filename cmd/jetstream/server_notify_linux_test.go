package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestScriptsCannotNotify: the server announces itself to the service manager, and
// no script can do so in its place.
func TestScriptsCannotNotify(t *testing.T) {
	l := newLive(t)
	l.script("on.getServerInfo", "#!/bin/sh\nenv\n")
	socket := filepath.Join(shortDir(t), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "60000000")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	l.startOn(null, nil, "--trigger-env=NOTIFY_SOCKET", "--trigger-env=WATCHDOG_USEC", "--trigger-env=HOME")
	said := make([]byte, 4096)
	_ = manager.SetReadDeadline(time.Now().Add(patience))
	if n, err := manager.Read(said); err != nil || !strings.HasPrefix(string(said[:n]), "READY=1\n") {
		t.Errorf("%q, %v", said[:n], err)
	}
	l.call("getServerInfo", nil)
	env := fmt.Sprint(l.lastRun("on.getServerInfo")["stdout"].(map[string]any)["text"])
	if !strings.Contains(env, "JETSTREAM_EVENT=") || strings.Contains(env, "NOTIFY_SOCKET") || strings.Contains(env, "WATCHDOG") {
		t.Errorf("the script sees\n%s", env)
	}
}
