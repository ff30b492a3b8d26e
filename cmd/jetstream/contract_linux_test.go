package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFirstPasswordOnATerminal: it is shown there once and kept nowhere; and
// the log is text for people.
func TestFirstPasswordOnATerminal(t *testing.T) {
	l := newBare(t)
	l.guard(t)
	l.console = &consoleText{}
	person, terminal := openTerminal(t)
	start := func(until string) (seen string) {
		t.Helper()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		ended := make(chan int, 1)
		go func() {
			ended <- run(ctx, []string{"server", "--api-port=0", "--recv-port=0", "--recv-host=127.0.0.1", "--persistent-state-dir=" + l.state},
				os.Getenv, nil, io.Discard, terminal)
		}()
		for buffer := make([]byte, 4096); !strings.Contains(seen, until); {
			n, err := person.Read(buffer)
			if err != nil {
				t.Fatalf("%v after %q", err, seen)
			}
			seen += string(buffer[:n])
		}
		cancel()
		if code := <-ended; code != exitDone {
			t.Errorf("exit status %d: %s", code, seen)
		}
		return seen
	}
	seen := start("JetStream is listening")
	_, rest, shown := strings.Cut(seen, "log in as admin with the password ")
	password, _, _ := strings.Cut(rest, "\r\n")
	if !shown || len(password) < 20 || strings.Contains(seen, `"msg"`) {
		t.Fatalf("the terminal shows %q", seen)
	}
	l.secret(password) // now nothing else may hold it
	if _, err := os.Stat(filepath.Join(l.state, "initial-password")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the password is in a file as well: %v", err)
	}
	if again := start("JetStream is listening"); strings.Contains(again, "password") {
		t.Errorf("the second start shows %q", again)
	}
	l.start()
	l.password = password
	l.callAs("admin", "getServerInfo", nil)
}

// TestDefaultStateDirectory is the contract's for root and for others: the help
// names it, and nothing is made.
func TestDefaultStateDirectory(t *testing.T) {
	const nobody = 65534
	for _, tt := range []struct {
		uid  uint32
		env  []string
		want string
	}{
		{0, []string{"XDG_STATE_HOME=/xdg", "HOME=/root"}, "/var/lib/jetstream/state"},
		{nobody, []string{"XDG_STATE_HOME=/xdg", "HOME=/home/ann"}, "/xdg/jetstream/state"},
		{nobody, []string{"HOME=/home/ann"}, "/home/ann/.local/state/jetstream/state"},
		{nobody, []string{"XDG_STATE_HOME=relative", "HOME=/home/ann"}, "/home/ann/.local/state/jetstream/state"},
	} {
		t.Run(fmt.Sprint(tt.uid, tt.env), func(t *testing.T) {
			cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{"jetstream", "server", "--help"}, Env: tt.env, Dir: "/"}
			if os.Geteuid() == 0 {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: tt.uid, Gid: tt.uid}}
			} else if tt.uid == 0 {
				t.Skip("only root can look at root's")
			}
			text, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(strings.Join(strings.Fields(string(text)), ""), "("+tt.want+")") {
				t.Errorf("%v, want %s in\n%s", err, tt.want, text)
			}
		})
	}
}
