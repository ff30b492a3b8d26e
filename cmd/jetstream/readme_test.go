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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// notRun are lines of README.md's blocks that its test does not carry out.
var notRun = map[string]string{
	"make demo": "demo.txtar runs the demonstration",
	"make test": "this is a part of it",
	"make build && sudo install bin/jetstream /usr/local/bin/": "the program is on PATH",
	"sudo -i": "the test has directories of its own",
}

// readmeBlock is a block of commands of a page with the paragraph before it.
type readmeBlock struct {
	heading string
	before  string
	lines   []string
}

func readmeBlocks(t *testing.T, page string) (blocks []readmeBlock) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", page))
	if err != nil {
		t.Fatal(err)
	}
	heading, paragraph, inside := "", "", false
	for line := range strings.Lines(strings.ReplaceAll(string(b), "\\\n", " ")) {
		text, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		switch {
		case !indented:
			if inside || strings.TrimSpace(line) == "" {
				inside = false
				continue
			}
			paragraph = line
			if text, ok := strings.CutPrefix(line, "## "); ok {
				heading = strings.TrimSpace(text)
			}
		default:
			if !inside {
				blocks = append(blocks, readmeBlock{heading: heading, before: paragraph})
			}
			inside = true
			last := &blocks[len(blocks)-1]
			last.lines = append(last.lines, text)
		}
	}
	return blocks
}

// readmeHost is a machine of README.md: directories and ports of its own.
type readmeHost struct {
	t                 *testing.T
	dir               string
	apiPort, recvPort int
	replace           *strings.Replacer
	cut               func() // ends the server as a power cut does; nil without one
}

func newReadmeHost(t *testing.T, dir string, others ...string) *readmeHost {
	t.Helper()
	h := &readmeHost{t: t, dir: dir, apiPort: freePort(t), recvPort: freePort(t)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	h.replace = strings.NewReplacer(append([]string{
		"/var/lib/jetstream", filepath.Join(dir, "lib"), "/srv/", dir + "/srv/",
		"localhost:8886", "localhost:" + strconv.Itoa(h.apiPort), "--api-host 0.0.0.0", "--api-host 127.0.0.1",
		"curl -u alice", "curl -fsS -u alice:" + testPassword, "curl -N -u admin", "curl -fsS -m 1 -N -u admin:" + testPassword,
		"jetstream trigger tail", "timeout --preserve-status -s INT 1 jetstream trigger tail",
	}, others...)...)
	return h
}

func (h *readmeHost) command(line string) *exec.Cmd {
	// A server outlives the test's context until it is asked to end.
	cmd := exec.CommandContext(context.WithoutCancel(h.t.Context()), "/bin/sh", "-c", line)
	cmd.Dir = h.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir,
		"JETSTREAM_SERVER_PERSISTENT_STATE_DIR=" + filepath.Join(h.dir, "lib", "state"),
		"JETSTREAM_SERVER_API_PORT=" + strconv.Itoa(h.apiPort), "JETSTREAM_SERVER_RECV_PORT=" + strconv.Itoa(h.recvPort),
		"JETSTREAM_USER_PASSWORD=" + testPassword, "JETSTREAM_REMOTE_PASSWORD=" + testPassword,
	}
	return cmd
}

// run carries out one line, which must succeed, and returns what it printed. A
// server is left running until the end of the test.
func (h *readmeHost) run(line string) string {
	h.t.Helper()
	line = h.replace.Replace(line)
	if strings.HasPrefix(line, "jetstream server ") {
		h.serve(strings.TrimSuffix(line, "&"))
		return ""
	}
	var out bytes.Buffer
	cmd := h.command(line)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	const timedOut = 28 // of curl, which follows the events without an end
	if err != nil && (cmd.ProcessState.ExitCode() != timedOut || !strings.Contains(line, " -m 1 ")) {
		h.t.Fatalf("%s: %v\n%s", line, err, out.String())
	}
	return out.String()
}

func (h *readmeHost) serve(line string) {
	h.t.Helper()
	log := &consoleText{}
	cmd := h.command("exec " + line)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	stopped := false
	h.cut = func() {
		stopped = true
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	h.t.Cleanup(func() {
		if stopped {
			return
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			h.t.Errorf("%s: %v\n%s", line, err, log)
		}
	})
	select {
	case <-log.await("JetStream is listening", 1):
	case <-time.After(2 * time.Minute):
		h.t.Fatalf("%s: it does not listen:\n%s", line, log)
	}
}

// TestReadme carries out what README.md tells to type, in its order. Other than
// there, the hosts are directories, ports are free ones, passwords are given in
// variables, and what has no end is ended after a second.
func TestReadme(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"curl", "openssl", "timeout"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("CI must have %s", name)
			}
			t.Skipf("SKIPPED: no %s here; what README.md tells to type is not tried", name)
		}
	}
	dir := shortDir(t)
	site := newReadmeHost(t, filepath.Join(dir, "site-b"))
	second := []string{"9886", strconv.Itoa(freePort(t)), "9887", strconv.Itoa(freePort(t)), "@site-b:/", fmt.Sprintf("@127.0.0.1:%d:/", site.recvPort)}
	sender := newReadmeHost(t, filepath.Join(dir, "sender"), second...)
	secure := newReadmeHost(t, filepath.Join(dir, "tls"))
	if err := os.MkdirAll(filepath.Join(sender.dir, "srv", "media", "reel"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(sender.dir, "srv", "media", "reel", "a.mov"), []byte("moving picture"), 0o600); err != nil {
		t.Fatal(err)
	}

	blocks := readmeBlocks(t, "README.md")
	// The script is in place before anything arrives, and one of the sender fails.
	script := slices.IndexFunc(blocks, func(b readmeBlock) bool { return strings.HasPrefix(b.lines[0], "$ cat ") })
	if script < 0 {
		t.Fatal("README.md shows no script")
	}
	place := site.replace.Replace(strings.TrimPrefix(blocks[script].lines[0], "$ cat "))
	putScript(t, place, strings.Join(blocks[script].lines[1:], "\n")+"\n")
	putScript(t, filepath.Join(sender.dir, "lib", "triggers", "send.destinationCreated"), "#!/bin/sh\nexit 3\n")

	skipped := map[string]bool{}
	run := regexp.MustCompile(`\bRUN\b`)
	for i, b := range blocks {
		host := sender
		switch {
		case i == script:
			continue
		case strings.Contains(b.before, "receiving host"):
			host = site
		case strings.Contains(b.before, "TLS"):
			host = secure
		}
		for _, line := range b.lines {
			command, _, _ := strings.Cut(line, " #")
			command = strings.TrimSpace(command)
			// There is no terminal to agree on that it is the right key.
			command = strings.Replace(command, "jetstream send ", "jetstream send --accept-key ", 1)
			switch {
			case command == "":
			case notRun[command] != "":
				skipped[command] = true
			case run.MatchString(command):
				id := regexp.MustCompile(`(?m)^[0-9a-f]{8}\b`).FindString(sender.run("jetstream trigger runs --user admin --status failed"))
				host.run(run.ReplaceAllString(command, id))
			default:
				host.run(command)
			}
		}
	}
	for command := range notRun {
		if !skipped[command] {
			t.Errorf("README.md has no %q: take it from the list of what is not run", command)
		}
	}
	for _, path := range []string{
		filepath.Join(site.dir, "lib", "files", "bob", "incoming", "reel", "a.mov"),
		filepath.Join(sender.dir, "srv", "b", "files", "bob", "incoming", "reel", "a.mov"),
	} {
		if got, err := os.ReadFile(path); err != nil || string(got) != "moving picture" {
			t.Errorf("README.md says that the reel is at %s: %q (%v)", path, got, err)
		}
	}
	log := filepath.Join(filepath.Dir(place), "log.txt")
	for end := time.Now().Add(2 * time.Minute); ; {
		got, _ := os.ReadFile(log)
		if strings.Contains(string(got), "manifest file: /reel/a.mov, file path: "+site.dir) {
			break
		}
		runs := site.run("jetstream trigger runs --user admin") // takes a moment
		if time.Now().After(end) {
			t.Fatalf("the script of README.md has written %q; its runs are\n%s", got, runs)
		}
	}
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
