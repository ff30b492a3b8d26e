//go:build unix

package main

import (
	"path/filepath"
	"strconv"
	"testing"

	"jetstream/internal/server/servertest"
)

// TestLoginKnowsItsCAFromElsewhere: what login keeps is used from other working
// directories, where a relative --ca would lead to nothing.
func TestLoginKnowsItsCAFromElsewhere(t *testing.T) {
	dir := t.TempDir()
	servertest.WriteCertificate(t, filepath.Join(dir, "site-a.pem"), filepath.Join(dir, "site-a.key"), "site-a.example")
	l := newLive(t)
	l.start("--tls-cert="+filepath.Join(dir, "site-a.pem"), "--tls-key="+filepath.Join(dir, "site-a.key"))
	env := map[string]string{"JETSTREAM_API_HOST": l.host, "JETSTREAM_API_PORT": strconv.Itoa(l.apiPort), "XDG_CONFIG_HOME": t.TempDir(),
		"APPDATA": t.TempDir(), "HOME": t.TempDir(), "JETSTREAM_API_PASSWORD": testPassword}
	t.Chdir(dir)
	if got := jetstream(t, env, "", "login", "--user", "alice", "--ca", "site-a.pem"); got.code != exitDone {
		t.Fatalf("login: %+v", got)
	}
	delete(env, "JETSTREAM_API_PASSWORD")
	t.Chdir(t.TempDir())
	for _, line := range [][]string{{"api", "send.getTransfers"}, {"logout"}} {
		if got := jetstream(t, env, "", line...); got.code != exitDone {
			t.Errorf("%q elsewhere: %+v", line, got)
		}
	}
}
