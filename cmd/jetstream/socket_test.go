//go:build linux || darwin

package main

import (
	"errors"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"jetstream/internal/server"
)

// here runs a command on the server's own machine, given nothing but where the
// state directory is.
func (l *live) here(env map[string]string, args ...string) outcome {
	l.t.Helper()
	all := map[string]string{"JETSTREAM_SERVER_PERSISTENT_STATE_DIR": l.state, "HOME": l.t.TempDir(), "XDG_CONFIG_HOME": "", "PATH": os.Getenv("PATH")}
	maps.Copy(all, env)
	return jetstream(l.t, all, "", args...)
}

func TestCommandsByTheControlSocket(t *testing.T) {
	l := newLive(t)
	l.script("send.destinationCreated", "#!/bin/sh\n")
	l.start("--trigger-dir=" + l.triggers)
	flag := "--persistent-state-dir=" + l.state
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"api getUsers --output table", 0, "alice"},
		{"api " + flag + " getUsers", 0, `"name": "alice"`},
		{"api --user alice createDestination --destinationAddress 127.0.0.1", 0, `"owner": "alice"`},
		{"api createDestination --destinationAddress 127.0.0.1", 1, "invalid: this login is no user's: name the user who shall own it with --user NAME"},
		{"api --user nobody getUsers", 1, `unauthorized: there is no user "nobody" to act as`},
		{"api --user alice getUsers", 1, "forbidden"},
		{"trigger list", 0, "send.destinationCreated"},
		{"trigger pause", 0, "queue: paused"},
		{"user list", 0, "alice"},
		{"user " + flag + " list", 0, "alice"},
	} {
		if got := l.here(nil, strings.Fields(tt.args)...); got.code != tt.code || !strings.Contains(got.stdout+got.stderr, tt.want) {
			t.Errorf("%s: %+v, want %d and %q", tt.args, got, tt.code, tt.want)
		}
	}
	if got := jetstream(t, map[string]string{"HOME": t.TempDir()}, "", "trigger", "runs", flag); got.code != 0 {
		t.Errorf("the flag alone: %+v", got)
	}
}

// The socket is for those who are given no other way: whatever says which
// server to call, or how to log in, keeps them from being a superuser.
func TestLoginSettingsBypassTheControlSocket(t *testing.T) {
	l := newLive(t)
	l.start()
	port := strconv.Itoa(l.apiPort)
	home := t.TempDir()
	login := map[string]string{"JETSTREAM_API_HOST": "127.0.0.1", "JETSTREAM_API_PORT": port, "JETSTREAM_API_PASSWORD": testPassword, "HOME": home}
	if got := jetstream(t, login, "", "login", "--user", "alice"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	// As if it had been kept for the usual host and port.
	logins, err := (&program{Getenv: func(name string) string { return login[name] }}).logins()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(logins.Path("127.0.0.1", l.apiPort), logins.Path("localhost", 8886)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what string
		env  map[string]string
		args string
		want string // in stderr: what is said without the socket
	}{
		{"host", nil, "--host 127.0.0.1", "127.0.0.1:8886"},
		{"host by environment", map[string]string{"JETSTREAM_API_HOST": "127.0.0.1"}, "", "127.0.0.1:8886"},
		{"port", nil, "--api-control-port " + port, "asks for a login"},
		{"port by environment", map[string]string{"JETSTREAM_API_PORT": port}, "", "asks for a login"},
		{"TLS", nil, "--tls", "localhost:8886"},
		{"CA", nil, "--ca /nowhere.pem", "/nowhere.pem"},
		{"CA by environment", map[string]string{"JETSTREAM_API_CA": "/nowhere.pem"}, "", "/nowhere.pem"},
		{"token", map[string]string{"JETSTREAM_API_TOKEN": "jst.x.y"}, "", "localhost:8886"},
		{"password", map[string]string{"JETSTREAM_API_PASSWORD": "x"}, "", "JETSTREAM_API_PASSWORD is set, but no user"},
		{"kept login", map[string]string{"HOME": home}, "", "localhost:8886"},
	} {
		args := append([]string{"api"}, append(strings.Fields(tt.args), "getUsers")...)
		if got := l.here(tt.env, args...); got.code == 0 || !strings.Contains(got.stderr, tt.want) {
			t.Errorf("%s: %+v, want %q", tt.what, got, tt.want)
		}
	}
	if got := l.here(map[string]string{"HOME": home}, "api", "--user", "root", "getUsers"); got.code != 0 {
		t.Errorf("a login kept for another user: %+v", got)
	}
}

// A socket that nobody listens at is none.
func TestDeadControlSocketCountsAsAbsent(t *testing.T) {
	l := newLive(t)
	path := filepath.Join(l.state, server.SocketFile)
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if got := l.here(nil, "api", "getUsers"); got.code != 1 || !strings.Contains(got.stderr, "localhost:8886") {
		t.Errorf("api: %+v", got)
	}
	if got := l.here(nil, "user", "list"); got.code != 0 || !strings.Contains(got.stdout, "alice") {
		t.Errorf("user: %+v", got)
	}
	l.start() // removes it
	if got := l.here(nil, "api", "getUsers"); got.code != 0 {
		t.Errorf("after a start: %+v", got)
	}
}

// As root the user's default and the system's are one.
func TestWhereTheControlSocketIsLookedFor(t *testing.T) {
	p := &program{Getenv: func(name string) string { return map[string]string{"XDG_STATE_HOME": "/own"}[name] }}
	want := []string{"/own/jetstream/state", "/var/lib/jetstream/state"}
	if os.Geteuid() == 0 {
		want = want[1:]
	}
	if got := p.socketDirs(""); !slices.Equal(got, want) {
		t.Errorf("by default: %q, want %q", got, want)
	}
	if got := p.socketDirs("/given"); !slices.Equal(got, []string{"/given"}) {
		t.Errorf("in one that is given: %q", got)
	}
}

// send takes the only user, or says how to name one of several.
func TestSendWithoutALogin(t *testing.T) {
	p := newPair(t)
	to := "bob@127.0.0.1:" + strconv.Itoa(p.to.recvPort) + ":/in"
	send := func(args ...string) outcome {
		return p.from.here(map[string]string{"JETSTREAM_REMOTE_PASSWORD": testPassword}, append(append([]string{"send", "--accept-key"}, args...), filepath.Join(p.from.files, "reel"), to)...)
	}
	if got := send(); got.code != 2 || !strings.Contains(got.stderr, "give --user NAME (root, alice)") {
		t.Errorf("two users: %+v", got)
	}
	if got := send("--user", "alice"); got.code != 0 || !strings.HasPrefix(got.stdout, "complete: 3 files") {
		t.Errorf("as alice: %+v", got)
	}
	p.from.callAs("root", "deleteUser", map[string]any{"name": "alice"})
	if got := send(); got.code != 0 || !strings.HasPrefix(got.stdout, "complete: 0 files, 0 B in ") || !strings.Contains(got.stdout, "\n  unchanged: 3 files, ") {
		t.Errorf("the only user: %+v", got)
	}
	if owner := p.from.callAs("root", "send.getTransfers", nil)["transfers"].([]any)[0].(map[string]any)["owner"]; owner != "root" {
		t.Errorf("the transfer is of %v", owner)
	}
}

// A script runs as the server's user, and is yet no superuser by the socket: it
// has a token, which says whom it acts as and how deep it is.
func TestScriptKeepsItsTokensIdentity(t *testing.T) {
	l := newLive(t)
	out := filepath.Join(l.files, "out")
	l.script("send.destinationCreated", "#!/bin/sh\n"+
		"'"+programFile(t)+"' api --persistent-state-dir '"+l.state+"' getUsers >'"+out+"' 2>&1\n"+
		"'"+programFile(t)+"' api --persistent-state-dir '"+l.state+"' createDestination --destinationAddress 127.0.0.1 --destinationPort 2 >>'"+out+"' 2>&1\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-log")
	l.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 1})
	l.awaitRuns("send.destinationCreated", 2) // the second is by the first
	if text := read(t, out); !strings.Contains(text, "forbidden") || !strings.Contains(text, `"owner": "alice"`) {
		t.Errorf("the script got %s", text)
	}
	depths := map[any]bool{}
	for _, run := range l.runsOf("send.destinationCreated") {
		depths[run["depth"]] = true
	}
	if !depths[1.0] || !depths[2.0] {
		t.Errorf("the runs have the depths %v, want 1 and 2", depths)
	}
}

// What `jetstream user` does beside the server counts at the very next call.
func TestUserCommandsCountAtTheNextCall(t *testing.T) {
	l := newLive(t)
	l.start()
	bearer, cookie := "Bearer "+l.token("alice", "/", "read"), l.signIn("alice")
	status := func(authorization string, headers ...string) int {
		res, _ := l.send("GET", "/api/v1/tokens", authorization, nil, headers...)
		return res.StatusCode
	}
	if got := l.here(map[string]string{userPasswordVariable: "another"}, "user", "passwd", "alice"); got.code != 0 || got.stdout != "user alice has a new password\n" {
		t.Fatalf("%+v", got)
	}
	for what, tt := range map[string]struct{ got, want int }{
		"the former password": {status(basic("alice", testPassword)), 401}, "the new one": {status(basic("alice", "another")), 200},
		"the former session": {status("", "Cookie", cookie), 401}, "a token": {status(bearer), 200},
	} {
		if tt.got != tt.want {
			t.Errorf("after passwd, %s: %d, want %d", what, tt.got, tt.want)
		}
	}
	if got := l.here(nil, "user", "remove", "ALICE"); got.code != 0 || got.stdout != "user alice was removed; the files stay\n" {
		t.Fatalf("%+v", got)
	}
	if got := status(bearer); got != 401 {
		t.Errorf("a removed user's token: %d", got)
	}
	if got := status(basic("alice", "another")); got != 401 {
		t.Errorf("a removed user's password: %d", got)
	}
}

// The rules for users, and what is said of them, are the same by the socket and
// on the directory itself.
func TestUserRulesAreTheSameBothWays(t *testing.T) {
	l := newLive(t)
	lines := []string{
		"add carol", "add CAROL", "add no/name", "add " + strings.Repeat("n", 65), "add dora --sandbox " + l.state + "/x", "passwd nobody", "passwd no/name",
		"remove nobody", "remove root", "passwd CAROL", "list", "remove carol",
	}
	long := []string{"add dora", "passwd alice"} // with a password that is too long
	try := func() (said []outcome) {
		for _, line := range lines {
			said = append(said, l.here(map[string]string{userPasswordVariable: "pw"}, append([]string{"user"}, strings.Fields(line)...)...))
		}
		for _, line := range long {
			said = append(said, l.here(map[string]string{userPasswordVariable: strings.Repeat("p", 1025)}, append([]string{"user"}, strings.Fields(line)...)...))
		}
		return said
	}
	direct := try()
	l.start()
	for i, got := range try() {
		if got != direct[i] {
			t.Errorf("%s: by the socket\n%+v\non the directory\n%+v", append(lines, long...)[i], got, direct[i])
		}
	}
}

// A server without a socket is not gone behind.
func TestUserBesideAServerWithoutASocket(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	l.start("--no-control-socket")
	if _, err := os.Lstat(filepath.Join(l.state, server.SocketFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	got := l.here(nil, "user", "list")
	if got.code != 1 || !strings.Contains(got.stderr, "has no control socket: stop it, or log in to it as a superuser: jetstream api --user NAME createUser") {
		t.Errorf("user: %+v", got)
	}
	got = l.here(nil, "trigger", "check", l.triggers)
	if got.code != 0 || !strings.Contains(got.stdout, "warning: the users' sandboxes were not checked: a server runs on "+l.state) {
		t.Errorf("trigger check: %+v", got)
	}
}

// The doctor asks the server that runs, and else reads the directory.
func TestDoctorKnowsTheSandboxesBothWays(t *testing.T) {
	l := newLive(t)
	inside := filepath.Join(l.files, "triggers") // alice's files hold the scripts
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	check := func() outcome { return l.here(nil, "trigger", "check", inside) }
	direct := check()
	l.start()
	if got := check(); got != direct || !strings.Contains(got.stdout, "warning: user alice: ") {
		t.Errorf("beside the server\n%+v\nwithout it\n%+v", got, direct)
	}
}
