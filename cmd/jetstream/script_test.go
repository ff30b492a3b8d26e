package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"jetstream/internal/server"
)

// TestCommandLineScripts runs the program from outside. Beside testscript's own commands
// the scripts have:
//
//	server NAME [FLAG...]  start a server whose state is $WORK/NAME/state; its
//	                       ports become $NAME_API and $NAME_RECV, and it is
//	                       stopped at the script's end
//	                       its passwords begin with "hush-", which must not be
//	                       found in what it writes
//	stop NAME              stop it, politely, and wait
//	begin COMMAND...       start a command in the background
//	interrupt TEXT         wait until it has printed TEXT on stderr, send it an
//	                       interrupt, and wait for its end
//	said TEXT              fail unless it printed TEXT on stderr
func TestCommandLineScripts(t *testing.T) {
	s := &scripted{running: map[*testscript.TestScript]*scriptState{}}
	t.Cleanup(func() {
		if s.faults != nil {
			t.Error(s.faults)
		}
	})
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "JETSTREAM_API_HOST=127.0.0.1", "HOME="+e.WorkDir)
			return nil
		},
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": s.server, "stop": s.stop, "begin": s.begin, "interrupt": s.interrupt, "said": s.said,
		},
	})
}

// patience bounds every wait in a script; a healthy machine needs far less.
const patience = 2 * time.Minute

// scripted keeps what the running scripts have started.
type scripted struct {
	mu      sync.Mutex
	running map[*testscript.TestScript]*scriptState
	faults  error // found after a script's end
}

type scriptState struct {
	servers map[string]*process
	begun   *process
}

func (s *scripted) of(ts *testscript.TestScript) *scriptState {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.running[ts]
	if !ok {
		state = &scriptState{servers: map[string]*process{}}
		s.running[ts] = state
	}
	return state
}

// process is a child whose stderr is read line by line.
type process struct {
	cmd   *exec.Cmd
	lines chan string // closed at the end of its output
	seen  strings.Builder
}

func startProcess(ts *testscript.TestScript, args ...string) *process {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "WORK", "JETSTREAM_API_HOST", "JETSTREAM_API_PORT", "JETSTREAM_API_USER",
		"JETSTREAM_API_PASSWORD", "JETSTREAM_REMOTE_PASSWORD"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	path, err := exec.LookPath(args[0])
	if dir := ts.Getenv("PATH"); err != nil {
		path = filepath.Join(strings.Split(dir, string(os.PathListSeparator))[0], args[0])
	}
	p := &process{cmd: exec.Command(path, args[1:]...), lines: make(chan string, 1024)}
	p.cmd.Env, p.cmd.Dir = env, ts.MkAbs(".")
	stderr, err := p.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	ts.Defer(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			p.drain()
			_ = p.cmd.Wait()
		}
	})
	return p
}

func (p *process) drain() {
	for line := range p.lines {
		p.seen.WriteString(line + "\n")
	}
}

// await waits for a line with text.
func (p *process) await(ts *testscript.TestScript, text string) {
	deadline := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			p.seen.WriteString(line + "\n")
			if strings.Contains(line, text) {
				return
			}
			if !ok {
				ts.Fatalf("%s ended without %q:\n%s", p.cmd.Args, text, p.seen.String())
			}
		case <-deadline:
			ts.Fatalf("%s did not say %q:\n%s", p.cmd.Args, text, p.seen.String())
		}
	}
}

// end waits for the end and returns the exit status.
func (p *process) end() int {
	p.drain()
	_ = p.cmd.Wait() // the status says all
	return p.cmd.ProcessState.ExitCode()
}

func (s *scripted) server(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: server NAME [FLAG...]")
	}
	state, log := ts.MkAbs(filepath.Join(args[0], "state")), ts.MkAbs(filepath.Join(args[0], "server.log"))
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o700))
	ts.Defer(func() { s.search(ts.MkAbs(args[0])) }) // once it has stopped
	p := startProcess(ts, append([]string{"jetstream", "server", "--api-port=0", "--recv-host=127.0.0.1", "--recv-port=0",
		"--persistent-state-dir=" + state, "--log=" + log, "--log-level=debug"}, args[1:]...)...)
	p.await(ts, "JetStream is listening")
	text, err := os.ReadFile(filepath.Join(state, server.EndpointFile))
	ts.Check(err)
	var e server.Endpoint
	ts.Check(json.Unmarshal(text, &e))
	ts.Setenv(args[0]+"_API", strconv.Itoa(e.APIPort))
	ts.Setenv(args[0]+"_RECV", strconv.Itoa(e.RecvPort))
	go p.drain() // so that it never waits for a reader
	s.of(ts).servers[args[0]] = p
}

// search looks into what a server wrote for the passwords of the scripts, which
// all begin alike.
func (s *scripted) search(dir string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if at := bytes.Index(text, []byte("hush-")); at >= 0 {
			err = errors.Join(err, fmt.Errorf("LEAK: %s holds a password at byte %d", path, at))
		}
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = errors.Join(s.faults, err)
}

func (s *scripted) stop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || s.of(ts).servers[args[0]] == nil {
		ts.Fatalf("usage: stop NAME, of a server that runs")
	}
	p := s.of(ts).servers[args[0]]
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	ts.Check(p.cmd.Wait())
}

func (s *scripted) begin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: begin COMMAND [ARG...]")
	}
	s.of(ts).begun = startProcess(ts, args...)
}

func (s *scripted) interrupt(ts *testscript.TestScript, neg bool, args []string) {
	p := s.of(ts).begun
	if len(args) != 1 || p == nil {
		ts.Fatalf("usage: interrupt TEXT, after begin")
	}
	p.await(ts, args[0])
	ts.Check(p.cmd.Process.Signal(os.Interrupt))
	if code := p.end(); (code == 0) == neg {
		ts.Fatalf("it ended with status %d:\n%s", code, p.seen.String())
	}
}

func (s *scripted) said(ts *testscript.TestScript, neg bool, args []string) {
	p := s.of(ts).begun
	if len(args) != 1 || p == nil {
		ts.Fatalf("usage: said TEXT, after begin")
	}
	if strings.Contains(p.seen.String(), args[0]) == neg {
		ts.Fatalf("it said:\n%s", p.seen.String())
	}
}
