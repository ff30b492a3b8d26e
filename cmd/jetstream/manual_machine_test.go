//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is a host of the manual: a directory and ports of its own.
type machine struct {
	t                 *testing.T
	m                 *manual
	name, dir         string
	apiPort, recvPort int
	main              *manualServer // the one on the usual ports, or nil
	flags             string        // it was last started with
}

// manualServer is a server that a page has started.
type manualServer struct {
	cmd   *exec.Cmd
	log   *consoleText
	ended chan struct{} // closed once it has ended with err
	err   error
	cut   bool
}

// end stops the server, by SIGKILL for a power cut.
func (s *manualServer) end(t *testing.T, with syscall.Signal) {
	t.Helper()
	if s == nil {
		return
	}
	_ = s.cmd.Process.Signal(with)
	<-s.ended
	if s.err != nil && with != syscall.SIGKILL && !s.cut {
		t.Errorf("%s: %v\n%s", s.cmd, s.err, s.log)
	}
	s.cut = s.cut || with == syscall.SIGKILL
}

// path is where a path of the manual is in the test.
func (h *machine) path(p string) string { return h.places().Replace(p) }

func (h *machine) places() *strings.Replacer {
	return strings.NewReplacer("/var/lib/jetstream", filepath.Join(h.dir, "lib"), "/etc/jetstream", filepath.Join(h.dir, "etc"), "/srv/", h.dir+"/srv/")
}

// here is a text of the manual for this test: with its directories and ports, with the
// passwords that a reader types, and with an end to what has none.
func (h *machine) here(text string) string {
	pairs := []string{
		"sudo ", "", "/var/lib/jetstream", filepath.Join(h.dir, "lib"), "/etc/jetstream", filepath.Join(h.dir, "etc"), "/srv/", h.dir + "/srv/",
		"localhost:8886", "localhost:" + strconv.Itoa(h.apiPort), "--api-host 0.0.0.0", "--api-host 127.0.0.1",
		"9886", strconv.Itoa(h.m.secondAPI), "9887", strconv.Itoa(h.m.secondRecv),
		"curl -u alice", "curl --fail-with-body -sS -u alice:" + testPassword, "curl -N -u alice", "curl -fsS -m 1 -N -u alice:" + testPassword,
		"jetstream trigger tail", "timeout --preserve-status -s INT 1 jetstream trigger tail",
	}
	for _, name := range []string{"site-a", "site-b", "site-c"} {
		if !strings.Contains(text, name) {
			continue
		}
		to := h.m.machine(name)
		api, recv := strconv.Itoa(to.apiPort), fmt.Sprintf("127.0.0.1:%d", to.recvPort)
		pairs = append(pairs, "@"+name+":/", "@"+recv+":/", name+":8887", recv, name+":8886", "127.0.0.1:"+api,
			"destinationAddress "+name, "destinationAddress "+recv, "destinationAddress="+name, "destinationAddress="+recv,
			`destinationAddress": "`+name, `destinationAddress": "`+recv,
			"--host "+name, "--host 127.0.0.1 --api-control-port "+api,
			"JETSTREAM_API_HOST="+name, "JETSTREAM_API_HOST=127.0.0.1 JETSTREAM_API_PORT="+api+" JETSTREAM_API_PASSWORD="+testPassword)
	}
	text = strings.NewReplacer(pairs...).Replace(text)
	// There is no terminal to agree on that it is the right key.
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if strings.Contains(line, "@") && !strings.Contains(line, "-key") {
			lines[i] = strings.Replace(line, "jetstream send ", "jetstream send --accept-key ", 1)
		}
	}
	return strings.Join(lines, "")
}

// there is what was printed here as the manual shows it.
func (h *machine) there(text string) string {
	text = regexp.MustCompile(`(?m)^curl: \(22\) .*\n`).ReplaceAllString(text, "") // here makes curl fail
	return strings.NewReplacer(filepath.Join(h.dir, "lib"), "/var/lib/jetstream", filepath.Join(h.dir, "etc"), "/etc/jetstream",
		h.dir+"/srv/", "/srv/", strconv.Itoa(h.apiPort), "8886", strconv.Itoa(h.recvPort), "8887").Replace(text)
}

func (h *machine) command(line string) *exec.Cmd {
	// A server outlives the test's context until it is asked to end.
	cmd := exec.CommandContext(context.WithoutCancel(h.t.Context()), "/bin/sh", "-c", line)
	cmd.Dir = h.dir
	cache, _ := os.UserCacheDir()
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "GOCACHE=" + filepath.Join(cache, "go-build"), "GOTOOLCHAIN=local", "GOFLAGS=",
		"JETSTREAM_SERVER_PERSISTENT_STATE_DIR=" + filepath.Join(h.dir, "lib", "state"), "JETSTREAM_SERVER_RECV_HOST=127.0.0.1",
		"JETSTREAM_SERVER_API_PORT=" + strconv.Itoa(h.apiPort), "JETSTREAM_SERVER_RECV_PORT=" + strconv.Itoa(h.recvPort),
		"JETSTREAM_USER_PASSWORD=" + testPassword, "JETSTREAM_REMOTE_PASSWORD=" + testPassword, "PYTHONDONTWRITEBYTECODE=1",
	}
	if v := os.Getenv("GOCACHE"); v != "" {
		cmd.Env = append(cmd.Env, "GOCACHE="+v)
	}
	return cmd
}

// keep carries what a shell has exported, and its directory, on to the next block.
const keep = `umask 022
if [ -f "$HOME/.kept" ]; then . "$HOME/.kept"; fi
trap 'code=$?; { export -p; echo "cd \"$PWD\""; } >"$HOME/.kept"; exit $code' EXIT
`

// run carries out commands, which must succeed, and returns what they printed.
func (h *machine) run(text string) string {
	h.t.Helper()
	out, err := h.try("set -e\n" + text)
	if err != nil {
		h.t.Fatalf("%s on %s: %v\n%s\n%s", h.m.at, h.name, err, text, out)
	}
	return out
}

// try carries out commands. What follows the events without an end is cut off without a fault.
func (h *machine) try(text string) (string, error) {
	var out bytes.Buffer
	text = h.here(text)
	cmd := h.command(keep + text)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	const timedOut = 28 // of curl
	if err != nil && cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == timedOut && strings.Contains(text, " -m 1 ") {
		err = nil
	}
	return out.String(), err
}

// script carries out a block of commands. A server is left running until the end of the
// page, or until the machine's next one.
func (h *machine) script(text string) string {
	h.t.Helper()
	var out, pending strings.Builder
	flush := func() {
		h.t.Helper()
		if strings.TrimSpace(pending.String()) != "" {
			out.WriteString(h.run(pending.String()))
		}
		pending.Reset()
	}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		command, _, _ := strings.Cut(strings.TrimSpace(line), " #")
		command = strings.TrimPrefix(strings.TrimSpace(command), "sudo ")
		switch {
		case command == "systemctl stop jetstream":
			flush()
			h.main.end(h.t, syscall.SIGTERM)
		case command == "systemctl start jetstream" || command == "systemctl restart jetstream":
			flush()
			h.serve(h.flags)
		case strings.HasPrefix(command, "jetstream server ") && !strings.Contains(command, "--check") && !strings.Contains(command, "--help"):
			flush()
			h.serve(strings.TrimSuffix(strings.TrimPrefix(command, "jetstream server "), "&"))
		default:
			pending.WriteString(line)
		}
	}
	flush()
	return out.String()
}

// serve starts the server of a machine, in place of the one that runs, unless it has
// other ports.
func (h *machine) serve(flags string) {
	h.t.Helper()
	second := strings.Contains(flags, "--api-port")
	if !second {
		h.main.end(h.t, syscall.SIGTERM)
	}
	s := &manualServer{log: &consoleText{}, ended: make(chan struct{}), cmd: h.command("exec jetstream server " + h.here(flags))}
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	h.t.Cleanup(func() { s.end(h.t, syscall.SIGTERM) })
	if !second {
		h.main, h.flags = s, flags
	}
	select {
	case <-s.log.await("JetStream is listening", 1):
	case <-s.ended:
		h.t.Fatalf("%s: the server of %s has ended: %v\n%s", h.m.at, h.name, s.err, s.log)
	case <-time.After(patience):
		h.t.Fatalf("%s: the server of %s does not listen:\n%s", h.m.at, h.name, s.log)
	}
}

// cut ends the server as a power cut does.
func (h *machine) cut() {
	h.t.Helper()
	h.main.end(h.t, syscall.SIGKILL)
}

func putScript(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func putFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
