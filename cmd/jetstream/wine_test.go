//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"jetstream/internal/server"
)

// windows is a Windows of a test's own: a wine prefix with JetStream in it.
type windows struct {
	t       *testing.T
	ctx     context.Context // bounds all that is done there
	env     []string
	program string // the Windows program, as a path of this system
	log     *os.File
}

// newWindows makes the prefix and builds the program for it.
func newWindows(t *testing.T) *windows {
	t.Helper()
	const compiler = "x86_64-w64-mingw32-gcc"
	for _, name := range []string{"wine", "wineserver", compiler, "go"} {
		if _, err := exec.LookPath(name); err != nil || runtime.GOARCH != "amd64" {
			if os.Getenv("CI") == "true" && runtime.GOARCH == "amd64" {
				t.Fatalf("no %s here, and CI must have it", name)
			}
			t.Skipf("SKIPPED: this test needs wine, %s and an amd64 machine (%s is missing); "+
				"batch files in a real Windows server were not tried", compiler, name)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	base := t.TempDir()
	w := &windows{t: t, ctx: ctx, program: filepath.Join(base, "jetstream.exe")}
	// No display, no offers to install a browser or .NET, and nothing in the
	// home or temporary directory of whoever runs the test.
	w.env = append(os.Environ(), "WINEPREFIX="+filepath.Join(base, "prefix"), "WINEARCH=win64", "WINEDEBUG=-all", "HOME="+base, "TMPDIR="+base,
		"DISPLAY=", "WAYLAND_DISPLAY=", "WINEDLLOVERRIDES=mscoree=;mshtml=;winemenubuilder.exe=")
	var err error
	if w.log, err = os.Create(filepath.Join(base, "wine.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Ends whatever runs in this prefix, and only that; 1 means nothing did.
		_ = w.command("wineserver", "--kill").Run()
		if err := w.command("wineserver", "--wait").Run(); err != nil && ctx.Err() != nil {
			t.Errorf("wine did not end: %v", err)
		}
		cancel()
		_ = w.log.Close()
	})
	library := filepath.Join(base, "bcryptprimitives.dll")
	w.run(compiler, "-shared", "-Os", "-s", "-o", library, filepath.Join("testdata", "wine", "bcryptprimitives.c"), "-ladvapi32")
	build := w.command("go", "build", "-o", w.program, ".")
	build.Env = append(os.Environ(), "GOOS=windows", "CGO_ENABLED=0")
	if err := build.Run(); err != nil {
		t.Fatalf("the program for Windows: %v\n%s", err, w.said())
	}
	w.run("wine", "wineboot", "--init")
	// Go asks for this one in the system's directory only.
	b, err := os.ReadFile(library)
	if err == nil {
		err = os.WriteFile(filepath.Join(base, "prefix", "drive_c", "windows", "system32", filepath.Base(library)), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// command prepares a process. Its output goes to a file: wine's own background
// processes inherit it, and nobody waits for them to close a pipe.
func (w *windows) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.ctx, name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = w.env, w.log, w.log
	return cmd
}

func (w *windows) run(name string, args ...string) {
	w.t.Helper()
	if err := w.command(name, args...).Run(); err != nil {
		w.t.Fatalf("%s %q: %v\n%s", name, args, err, w.said())
	}
}

func (w *windows) said() string { return read(w.t, w.log.Name()) }

// path is a path of this system as Windows sees it.
func (w *windows) path(unix string) string { return `Z:` + strings.ReplaceAll(unix, "/", `\`) }

// newSite makes the directories of a server and its users on Windows.
func (w *windows) newSite() *live {
	w.t.Helper()
	base := w.t.TempDir()
	l := &live{t: w.t, state: filepath.Join(base, "state"), triggers: filepath.Join(base, "trig gers"), files: filepath.Join(base, "files"),
		user: "root", password: testPassword, secrets: newSecrets(base)}
	l.guard(w.t)
	for _, dir := range []string{l.state, l.triggers, l.files} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, user := range [][]string{{"bob"}, {"root", "--superuser"}} {
		l.login(user[0], testPassword)
		add := w.command("wine", append([]string{w.program, "user", "add", "--persistent-state-dir=" + w.path(l.state),
			"--sandbox=" + w.path(l.files)}, user...)...)
		add.Env = append(w.env, "JETSTREAM_USER_PASSWORD="+testPassword)
		if err := add.Run(); err != nil {
			w.t.Fatalf("user add: %v\n%s", err, w.said())
		}
	}
	return l
}

// serve starts the server of l; stop ends it as Ctrl-C does and returns its
// exit status.
func (w *windows) serve(l *live, flags ...string) (stop func() int) {
	w.t.Helper()
	cmd := w.command("wine", append([]string{w.program, "server", "--api-port=0", "--recv-port=0", "--recv-host=127.0.0.1",
		"--persistent-state-dir=" + w.path(l.state), "--log-format=json", "--trigger-dir=" + w.path(l.triggers)}, flags...)...)
	reader, writer, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd.Stderr = writer
	l.console = &consoleText{}
	l.wrote(l.console, flags)
	if err := errors.Join(cmd.Start(), writer.Close()); err != nil {
		w.t.Fatal(err)
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			_, _ = l.console.Write(append(lines.Bytes(), '\n'))
		}
	}()
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the state says how
		close(ended)
	}()
	end := func(how os.Signal) int {
		_ = cmd.Process.Signal(how)
		<-ended // killed when w.ctx ends
		return cmd.ProcessState.ExitCode()
	}
	w.t.Cleanup(func() {
		end(os.Kill)
		_ = reader.Close()
		<-copied
	})
	select {
	case <-l.console.await("JetStream is listening", 1):
	case <-ended:
		w.t.Fatalf("the server ended with status %d:\n%s", cmd.ProcessState.ExitCode(), l.console)
	}
	var e server.Endpoint
	if err := json.Unmarshal([]byte(read(w.t, filepath.Join(l.state, server.EndpointFile))), &e); err != nil {
		w.t.Fatal(err)
	}
	l.host, l.apiPort, l.recvPort = e.APIHost, e.APIPort, e.RecvPort
	l.baseURL = fmt.Sprintf("http://%s:%d", e.APIHost, e.APIPort)
	return func() int { return end(os.Interrupt) }
}

// TestBatchFilesInAWindowsServer runs the real server as a Windows program,
// sends it files from a server of this system, and reads what its batch files
// have written.
func TestBatchFilesInAWindowsServer(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a Windows takes its time")
	}
	w := newWindows(t)
	to := w.newSite()
	lines := func(name string) []string {
		return strings.Split(strings.ReplaceAll(read(t, filepath.Join(to.triggers, name)), "\r\n", "\n"), "\n")
	}
	for name, text := range map[string]string{
		"launch.bat":                read(t, filepath.Join("testdata", "wine", "launch.bat")),
		"on.createUser.bat":         read(t, filepath.Join("testdata", "wine", "on.createUser.bat")),
		"recv.transferComplete.bat": example(t, "log-line.bat"),
	} {
		to.script(name, text)
	}
	stop := w.serve(to, "--trigger-on-api")
	if run := to.waitForRun("launch"); run["status"] != "success" || run["exitCode"] != 0.0 {
		t.Fatalf("launch.bat: %v\n%s", run, to.console)
	}
	if got, want := strings.TrimRight(lines("log.txt")[0], " "), fmt.Sprint("JetStream server Launched on port ", to.apiPort); got != want {
		t.Errorf("launch.bat wrote %q, want %q", got, want)
	}

	// From a server of this system, with names that a batch file must not obey.
	from := newLive(t)
	texts := map[string]string{
		"reel/a.txt": "alpha", "reel/two  words/c.txt": strings.Repeat("gamma", 400_000), "reel/100%PATH% & echo !x! ^(y).txt": "meta", "reel/grüße.txt": "umlaut",
	}
	for name, text := range texts {
		path := filepath.Join(from.files, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	from.start()
	id := (&pair{from: from, to: to}).transfer()
	if run := to.waitForRun(received); run["status"] != "success" {
		t.Fatalf("recv.transferComplete.bat: %v\n%s", run, to.console)
	}
	want := map[string]string{}
	listed := map[string]bool{}
	for name, text := range texts {
		want["in/"+name] = text
		if strings.ContainsRune(name, 'ü') {
			continue // without a terminal wine has no console, and so no code page for it in the log
		}
		listed[fmt.Sprintf(`  /%s is %s\in\%s`, name, w.path(to.files), strings.ReplaceAll(name, "/", `\`))] = true
	}
	sameTree(t, tree(t, to.files), want)
	got := lines("log.txt")
	if len(got) < 2 || !strings.HasSuffix(got[1], " recv.transferComplete "+id+" bob") {
		t.Fatalf("recv.transferComplete.bat wrote %q", got)
	}
	for _, line := range got[2 : len(got)-1] {
		if !listed[line] && !strings.Contains(line, "ü") {
			t.Errorf("the log has the line %q", line)
		}
		delete(listed, line)
	}
	for line := range listed {
		t.Errorf("the log has no line %q", line)
	}

	// JSON cannot be an argument of a batch file; standard input has it.
	to.rest("root", "POST", "/api/v1/users", map[string]any{"name": "eve,one;two=3", "password": "& calc"})
	if run := to.waitForRun("on.createUser"); run["status"] != "failed" || run["exitCode"] != 7.0 {
		t.Errorf("on.createUser.bat: %v", run)
	}
	calls := lines("calls.txt")
	if !strings.HasPrefix(calls[0], "[-] [invalid] [") || !strings.HasSuffix(calls[0], "] [-] []") {
		t.Errorf("on.createUser.bat got %q", calls[0])
	}
	if all := object(t, []byte(strings.Join(calls[1:], ""))); all["command"].(map[string]any)["parameters"].(map[string]any)["password"] != "***" {
		t.Errorf("its standard input was %v", all)
	}

	if code := stop(); code != exitDone {
		t.Errorf("stopped with status %d:\n%s", code, to.console)
	}
	if _, err := os.Stat(filepath.Join(to.state, server.EndpointFile)); err == nil {
		t.Error("the stopped server left its endpoint.json")
	}
}
