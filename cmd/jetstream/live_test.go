//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/server"
	"jetstream/internal/store"
)

// live is one server of a test: the whole program as main runs it, in this
// process, on ports of its own and a state of its own.
type live struct {
	t                       testing.TB
	state, triggers, files  string
	host                    string
	apiPort, recvPort       int
	console                 *consoleText
	running                 bool
	stop                    func() int // ends the server and returns its exit status
	ended                   chan int   // receives it
	flags                   []string   // that the server was last started with
	listening               func()     // called after each start, if not nil
	user, password, baseURL string
	*secrets                // what it was told and must not tell
}

// consoleText is the server's stderr: it keeps everything and tells when a wanted
// text has come.
type consoleText struct {
	mu      sync.Mutex
	text    bytes.Buffer
	waiting []wanted
}

type wanted struct {
	text  string
	times int
	found chan struct{}
}

func (c *consoleText) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(b)
	c.waiting = slices.DeleteFunc(c.waiting, func(w wanted) bool {
		found := bytes.Count(c.text.Bytes(), []byte(w.text)) >= w.times
		if found {
			close(w.found)
		}
		return found
	})
	return len(b), nil
}

func (c *consoleText) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// await returns a channel that is closed when text has been written so many
// times.
func (c *consoleText) await(text string, times int) <-chan struct{} {
	c.mu.Lock()
	c.waiting = append(c.waiting, wanted{text, times, make(chan struct{})})
	found := c.waiting[len(c.waiting)-1].found
	c.mu.Unlock()
	_, _ = c.Write(nil)
	return found
}

// awaitRuns waits until event's script has ended so many times; the server
// must run with --trigger-log.
func (l *live) awaitRuns(event string, times int) {
	l.t.Helper()
	l.awaitLog(`"msg":"trigger ended","script":"`+filepath.Join(l.triggers, event)+`"`, times)
}

// awaitLog waits until text stands in the console so many times.
func (l *live) awaitLog(text string, times int) {
	l.t.Helper()
	select {
	case <-l.console.await(text, times):
	case <-time.After(2 * time.Minute):
		l.t.Fatalf("%q did not come %d times:\n%s", text, times, l.console)
	}
}

// newLive makes a server's directories and the users alice and root (a
// superuser), both with testPassword.
func newLive(t testing.TB) *live {
	t.Helper()
	l := newBare(t)
	l.guard(t)
	m := l.model()
	for name, text := range m.files {
		if err := os.WriteFile(filepath.Join(l.state, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.addUsers(newUser{"alice", false}, newUser{"root", true})
	return l
}

// newBare makes a server's directories, without users.
func newBare(t testing.TB) *live {
	t.Helper()
	base := shortDir(t)
	l := &live{t: t, state: filepath.Join(base, "state"), triggers: filepath.Join(base, "triggers"), files: filepath.Join(base, "files"),
		user: "alice", password: testPassword, secrets: newSecrets(base)}
	for _, dir := range []string{l.state, l.triggers, l.files} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// shortDir is t.TempDir with a path that has room for that of a socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "js-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// model is what the servers of these tests begin with: the files of a state
// directory without users, and a user with testPassword. Both are made once:
// under the race detector it takes a while, and most tests need several.
type model struct {
	files map[string][]byte
	user  account.User
}

var makeModel = sync.OnceValues(func() (m model, err error) {
	dir, err := os.MkdirTemp("", "jetstream-model-")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx := context.Background()
	db, err := store.Open(ctx, dir)
	if err != nil {
		return m, err
	}
	if err := db.Close(); err != nil {
		return m, err
	}
	m.files = map[string][]byte{}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		text, readErr := os.ReadFile(filepath.Join(dir, e.Name()))
		m.files[e.Name()], err = text, errors.Join(err, readErr)
	}
	if err != nil {
		return m, err
	}
	if db, err = store.Open(ctx, dir); err != nil {
		return m, err
	}
	m.user, err = account.New(db.Accounts(), account.Options{}).Create(ctx, account.NewUser{Name: "model", Password: testPassword})
	return m, errors.Join(err, db.Close())
})

func (l *live) model() model {
	l.t.Helper()
	m, err := makeModel()
	if err != nil {
		l.t.Fatal(err)
	}
	return m
}

type newUser struct {
	name      string
	superuser bool
}

// addUser makes a user whose sandbox is the server's files directory.
func (l *live) addUser(name string, superuser bool) {
	l.t.Helper()
	l.addUsers(newUser{name, superuser})
}

// addUsers goes by the database, which is faster, where no server runs on it.
func (l *live) addUsers(users ...newUser) {
	l.t.Helper()
	if l.running {
		for _, u := range users {
			l.login(u.name, testPassword)
			l.callAs("root", "createUser", map[string]any{"name": u.name, "password": testPassword, "superuser": u.superuser, "sandbox": l.files})
		}
		return
	}
	made := l.model().user
	db, err := store.Open(l.t.Context(), l.state)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, u := range users {
		l.login(u.name, testPassword)
		made.Name, made.Superuser, made.Sandbox, made.CreateTime = u.name, u.superuser, l.files, api.Now()
		err = errors.Join(err, db.Accounts().InsertUser(l.t.Context(), made))
	}
	if err := errors.Join(err, db.Close()); err != nil {
		l.t.Fatal(err)
	}
}

// script puts an executable file into the trigger directory, by rename, as one
// should beside a running server.
func (l *live) script(event, text string) {
	l.t.Helper()
	path := filepath.Join(l.triggers, event)
	if len(l.in(path, []byte(text))) > 0 { // as the test wants it
		l.keeps(path)
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		l.t.Fatal(err)
	}
}

// start runs jetstream server until stop or the end of the test.
func (l *live) start(flags ...string) {
	l.t.Helper()
	l.console = &consoleText{}
	ctx, cancel := context.WithCancel(context.Background())
	args := append([]string{"server", "--api-port=0", "--recv-port=0", "--recv-host=127.0.0.1",
		"--persistent-state-dir=" + l.state, "--log-format=json", "--audit-log=" + l.auditLog()}, flags...)
	ended := make(chan int, 1)
	first := l.ended == nil
	l.ended, l.flags = ended, flags
	l.wrote(l.console, flags)
	go func() { ended <- run(ctx, args, os.Getenv, nil, io.Discard, l.console) }()
	code, stopped := 0, false
	l.stop = func() int {
		cancel()
		if !stopped {
			code, stopped, l.running = <-ended, true, false
		}
		return code
	}
	if first { // whichever it is at the end
		l.t.Cleanup(func() { l.stop() })
	}
	select {
	case <-l.console.await("JetStream is listening", 1):
	case code := <-ended:
		stopped = true
		l.t.Fatalf("the server ended with status %d:\n%s", code, l.console)
	}
	b, err := os.ReadFile(filepath.Join(l.state, server.EndpointFile))
	if err != nil {
		l.t.Fatal(err)
	}
	var e server.Endpoint
	if err := json.Unmarshal(b, &e); err != nil {
		l.t.Fatal(err)
	}
	l.host, l.apiPort, l.recvPort, l.running = e.APIHost, e.APIPort, e.RecvPort, true
	l.baseURL = fmt.Sprintf("http://%s:%d", e.APIHost, e.APIPort)
	if l.listening != nil {
		l.listening()
	}
}

// rest calls a route as the user; body nil is none.
func (l *live) rest(user, method, path string, body any, headers ...string) (int, api.Reply) {
	l.t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			l.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(l.t.Context(), method, l.baseURL+path, r)
	if err != nil {
		l.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if user != "" {
		req.SetBasicAuth(user, l.password)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var reply api.Reply
	if err := json.NewDecoder(res.Body).Decode(&reply); err != nil {
		l.t.Fatalf("%s %s answered %d without a reply: %v", method, path, res.StatusCode, err)
	}
	l.exchanged(body, reply.Result)
	return res.StatusCode, reply
}

// call carries out a command by the envelope, as alice; it must succeed.
func (l *live) call(command string, params map[string]any) map[string]any {
	l.t.Helper()
	return l.callAs("alice", command, params)
}

func (l *live) callAs(user, command string, params map[string]any) map[string]any {
	l.t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	status, reply := l.rest(user, "POST", "/api/v1/command", map[string]any{"request": command, "parameters": params})
	if reply.Status != api.CodeSuccess {
		l.t.Fatalf("%s %v: %d %s %q", command, params, status, reply.Status, reply.Message)
	}
	return object(l.t, reply.Result)
}

func object(t testing.TB, raw []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		t.Fatalf("no object: %s", raw)
	}
	return m
}

// cli runs `jetstream api --user USER ...` and returns its exit status and output.
func (l *live) cli(user string, args ...string) (code int, stdout, stderr string) {
	l.t.Helper()
	env := map[string]string{
		"JETSTREAM_API_HOST": l.host, "JETSTREAM_API_PORT": strconv.Itoa(l.apiPort), "JETSTREAM_API_USER": user,
	}
	if user != "" {
		env["JETSTREAM_API_PASSWORD"] = l.password
	}
	var out, errs bytes.Buffer
	code = run(l.t.Context(), append([]string{"api"}, args...), func(k string) string { return env[k] }, strings.NewReader(""), &out, &errs)
	if strings.Contains(out.String()+errs.String(), l.password) {
		l.t.Errorf("jetstream api %q shows the password", args)
	}
	return code, out.String(), errs.String()
}

// pair is a sender and a receiver with a destination between them.
type pair struct {
	from, to *live
	slow     any // id of the transfer of connection
}

// newPair starts two servers and puts a small tree into the sender's files.
func newPair(t testing.TB, senderFlags ...string) *pair {
	t.Helper()
	p := &pair{from: newLive(t), to: newLive(t)}
	for name, text := range map[string]string{"reel/a.txt": "alpha", "reel/b/c.txt": "gamma", "reel/empty": ""} {
		path := filepath.Join(p.from.files, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.to.addUser("bob", false)
	p.to.start("--trigger-dir=" + p.to.triggers)
	p.from.start(append([]string{"--trigger-dir=" + p.from.triggers}, senderFlags...)...)
	return p
}

// destination makes (or finds) the destination of the pair.
func (p *pair) destination() string {
	p.from.t.Helper()
	d := p.from.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": p.to.recvPort})
	return d["destinationId"].(string)
}

// manifest makes a manifest of the tree and waits until it is complete.
func (p *pair) manifest() string {
	p.from.t.Helper()
	m := p.from.call("send.createManifest", map[string]any{"fileMappings": map[string]string{"/reel": "/reel"}})
	id := m["manifestId"].(string)
	if got := p.from.call("send.waitForManifest", map[string]any{"manifestId": id}); got["status"] != "complete" {
		p.from.t.Fatalf("manifest: %v", got)
	}
	return id
}

// transfer makes a transfer to bob and waits until it has arrived.
func (p *pair) transfer() string {
	p.from.t.Helper()
	x := p.from.call("send.createTransfer", map[string]any{
		"manifestId": p.manifest(), "destinationId": p.destination(), "username": "bob", "password": testPassword, "destinationPath": "/in",
	})
	id := x["transferId"].(string)
	if got := p.from.call("send.waitForTransfer", map[string]any{"transferId": id}); got["status"] != "complete" {
		p.from.t.Fatalf("transfer: %v", got)
	}
	return id
}

func fetch(t testing.TB, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, res.Status, err)
	}
	return b
}
