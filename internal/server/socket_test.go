//go:build linux || darwin

package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/store"
)

// stateDir makes a state directory with a path that has room for a socket's.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "js-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "state")
}

// start runs a server until stop, which is called at the end of the test too.
func start(t *testing.T, o Options) (s *Server, stop func()) {
	t.Helper()
	o.RecvHost = "127.0.0.1"
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

// call carries out a command by the socket of a state directory.
func call(t *testing.T, dir, actAs, command string, params any) (map[string]any, error) {
	t.Helper()
	c, err := client.New(client.Options{Socket: filepath.Join(dir, SocketFile), ActAs: actAs})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return client.As[map[string]any](c.Call(t.Context(), command, params))
}

// logged is a log that tests read.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
	seen map[string]chan struct{} // closed when the text has been written
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	for text, ch := range l.seen {
		if strings.Contains(l.text.String(), text) {
			close(ch)
			delete(l.seen, text)
		}
	}
	return len(b), nil
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) await(text string) <-chan struct{} {
	ch := make(chan struct{})
	l.mu.Lock()
	l.seen = map[string]chan struct{}{text: ch}
	l.mu.Unlock()
	_, _ = l.Write(nil)
	return ch
}

func TestControlSocketNeedsNoLogin(t *testing.T) {
	dir, log := stateDir(t), &logged{}
	_, stop := start(t, Options{StateDir: dir, Log: slog.New(slog.NewTextHandler(log, nil))})
	path := filepath.Join(dir, SocketFile)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Fatalf("the socket is %v, %v", info.Mode(), err)
	}
	if _, err := call(t, dir, "", "createUser", map[string]any{"name": "ann", "password": "pw"}); err != nil {
		t.Fatal(err)
	}
	if got, err := call(t, dir, "ann", "send.createDestination", map[string]any{"destinationAddress": "127.0.0.1"}); err != nil || got["owner"] != "ann" {
		t.Errorf("acting as ann: %v, %v", got, err)
	}
	_, err = call(t, dir, "", "send.createDestination", map[string]any{"destinationAddress": "127.0.0.1"})
	if err == nil || !strings.HasPrefix(err.Error(), "this login is no user's") {
		t.Errorf("something owned without a user: %v", err)
	}
	if want := fmt.Sprintf(`command=createUser user="" peer="uid %d"`, os.Geteuid()); !strings.Contains(log.String(), want) {
		t.Errorf("the log has no %s:\n%s", want, log)
	}
	stop()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a clean stop: %v", err)
	}
}

func TestControlSocketCanBeDisabled(t *testing.T) {
	dir := stateDir(t)
	start(t, Options{StateDir: dir, NoControlSocket: true})
	if _, err := os.Lstat(filepath.Join(dir, SocketFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// What lies at the socket's place is removed if it is dead, and else stays.
func TestOnlyStaleSocketsAreRemoved(t *testing.T) {
	dir := stateDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, SocketFile)
	fails := func(what, want string) {
		t.Helper()
		s, err := New(t.Context(), Options{StateDir: dir})
		if err == nil {
			_ = s.Close()
		}
		if _, ok := errors.AsType[*OptionError](err); !ok || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "NoControlSocket leaves it out") {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	fails("a socket that answers", "another program answers")
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	_, stop := start(t, Options{StateDir: dir}) // at a dead socket
	stop()
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails("a file", "is no socket")
	if err := errors.Join(os.Remove(path), os.Symlink(filepath.Join(dir, "elsewhere"), path)); err != nil {
		t.Fatal(err)
	}
	fails("a link", "is no socket")
}

func TestSocketWithALongPath(t *testing.T) {
	dir := filepath.Join(stateDir(t), strings.Repeat("d", 100))
	_, err := New(t.Context(), Options{StateDir: dir})
	e, ok := errors.AsType[*OptionError](err)
	if !ok || !strings.Contains(err.Error(), "too long") {
		t.Fatalf("%v", err)
	}
	if text := e.Message(func(field string) string { return "--" + field }); !strings.Contains(text, "--NoControlSocket") || !strings.Contains(text, "--StateDir") {
		t.Errorf("%s", text)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
	start(t, Options{StateDir: dir, NoControlSocket: true})
}

func TestSocketWhereOthersMayWrite(t *testing.T) {
	dir := stateDir(t)
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Options{StateDir: dir}); err == nil || !strings.Contains(err.Error(), "may be written by others") {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, SocketFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

const otherUser = 12345

// asOtherUser starts this binary in a role, as another user.
func asOtherUser(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only root on Linux can become another user by /proc/self/exe, so other users were not tried at the control socket")
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	cmd.Env = append(os.Environ(), "SERVER_TEST_ROLE="+role, "SERVER_TEST_PATH="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: otherUser, Gid: otherUser}}
	return cmd
}

// roles are what another user does, with a path.
var roles = map[string]func(path string){
	// connect sends a request by a socket and prints the answer.
	"connect": func(path string) {
		conn, err := net.Dial("unix", path)
		if err != nil {
			fmt.Println("no connection:", err)
			return
		}
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		answer, _ := io.ReadAll(conn)
		fmt.Printf("connected; %q\n", answer)
	},
	// listen accepts one connection at a control socket and prints its peer.
	"listen": func(path string) {
		ln, err := listenSocket(context.Background(), path, slog.New(slog.DiscardHandler))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("listening")
		conn, err := ln.Accept()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(conn.RemoteAddr())
	},
}

// Another user is refused, also where the file's mode lets that user in.
func TestAnotherUserIsRefused(t *testing.T) {
	dir, log := stateDir(t), &logged{}
	start(t, Options{StateDir: dir, Log: slog.New(slog.NewTextHandler(log, nil))})
	path := filepath.Join(dir, SocketFile)
	run := func() string {
		t.Helper()
		out, err := asOtherUser(t, "connect", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	if got := run(); !strings.HasPrefix(got, "no connection: ") || !strings.Contains(got, "permission denied") {
		t.Errorf("by the socket as it is made: %s", got)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	if got := run(); got != "connected; \"\"\n" {
		t.Errorf("by a socket that is open to all: %s", got)
	}
	if !strings.Contains(log.String(), "uid=12345") {
		t.Errorf("the log does not say who was refused:\n%s", log)
	}
	if _, err := call(t, dir, "", "getUsers", nil); err != nil {
		t.Errorf("its own user afterwards: %v", err)
	}
}

// Root may use the socket of another user's server.
func TestRootIsAPeerEverywhere(t *testing.T) {
	dir := filepath.Dir(stateDir(t))
	cmd := asOtherUser(t, "listen", filepath.Join(dir, "sock"))
	if err := errors.Join(os.Chown(dir, otherUser, otherUser), os.Chmod(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, len("listening\n"))
	if _, err := io.ReadFull(out, said); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	rest, err := io.ReadAll(out)
	if err = errors.Join(err, cmd.Wait()); err != nil || string(rest) != "uid 0\n" {
		t.Errorf("%s%s %v", said, rest, err)
	}
}

// A start waits for jetstream user to be done with the directory.
func TestStartWaitsForTheStateDirectory(t *testing.T) {
	dir, log := stateDir(t), &logged{}
	waiting := log.await("waiting for its end")
	release, held := make(chan struct{}), make(chan error, 1)
	locked := make(chan struct{})
	go func() {
		held <- WithAccounts(t.Context(), dir, nil, func(accounts *account.Service) error {
			close(locked)
			<-release
			_, err := accounts.Create(t.Context(), account.NewUser{Name: "ann", Password: "pw"})
			return err
		})
	}()
	<-locked
	if err := WithAccounts(t.Context(), dir, nil, nil); !errors.Is(err, store.ErrLocked) {
		t.Errorf("a second one: %v", err)
	}
	go func() {
		<-waiting
		close(release)
	}()
	start(t, Options{StateDir: dir, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err := <-held; err != nil {
		t.Error(err)
	}
	if _, err := call(t, dir, "ann", "send.getDestinations", nil); err != nil {
		t.Error(err)
	}
	if err := WithAccounts(t.Context(), dir, nil, nil); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("beside the server: %v", err)
	}
}

func TestEventsByTheControlSocket(t *testing.T) {
	dir := stateDir(t)
	start(t, Options{StateDir: dir})
	if _, err := call(t, dir, "", "createUser", map[string]any{"name": "ann", "password": "pw"}); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Options{Socket: filepath.Join(dir, SocketFile)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	connected, enough := make(chan struct{}), errors.New("enough")
	go func() {
		<-connected
		_, _ = call(t, dir, "ann", "send.createDestination", map[string]any{"destinationAddress": "127.0.0.1"})
	}()
	err = c.Events(t.Context(), client.EventOptions{Types: []string{"send.destinationCreated"}, Connected: func() { close(connected) }},
		func(client.Event) error { return enough })
	if !errors.Is(err, enough) {
		t.Error(err)
	}
}

// Who guesses passwords by the socket slows nobody at the port, and the other
// way round.
func TestGuessesByTheSocketAreCountedApart(t *testing.T) {
	dir := stateDir(t)
	s, _ := start(t, Options{StateDir: dir})
	guess := func(o client.Options, user string) error {
		o.User, o.Password = user, "wrong"
		c, err := client.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = c.Call(t.Context(), "getServerInfo", nil)
		return err
	}
	socket, tcp := client.Options{Socket: filepath.Join(dir, SocketFile)}, client.Options{Host: "127.0.0.1", Port: s.Endpoint().APIPort}
	slowed := &api.Error{Code: api.CodeTooManyRequests}
	for i := range 1000 {
		if err := guess(socket, fmt.Sprintf("user%d", i)); errors.Is(err, slowed) {
			if err := guess(tcp, "another"); !errors.Is(err, &api.Error{Code: api.CodeUnauthorized}) {
				t.Errorf("at the port: %v", err)
			}
			return
		}
	}
	t.Error("guessing by the socket is not slowed")
}
