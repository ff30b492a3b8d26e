//go:build unix

package transfertest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// deathsVariable names the file with the steps of a Reaper.
const deathsVariable = "JETSTREAM_TEST_DEATHS"

// Reaper kills its own process, a child of KillAtEachStep, at each step once.
type Reaper struct {
	mu   sync.Mutex
	path string
	done map[string]bool
}

// NewReaper returns the reaper of this process.
func NewReaper() (*Reaper, error) {
	r := &Reaper{path: os.Getenv(deathsVariable), done: map[string]bool{}} //nolint:forbidigo // of a child process of a test
	b, err := os.ReadFile(r.path)
	for line := range strings.Lines(string(b)) {
		r.done[strings.TrimSpace(line)] = true
	}
	return r, err
}

// At kills the process if none was killed at this step.
func (r *Reaper) At(step string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done[step] {
		return
	}
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = fmt.Fprintln(f, step)
	}
	if err != nil {
		panic(err)
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// Child is a test binary that is run as another process.
type Child struct {
	// Env is what the child is to know, as NAME=value.
	Env []string
	// Started, if not nil, is called once the child has written a line.
	Started func()
	// Ended, if not nil, is called when it has ended.
	Ended func()
}

// KillAtEachStep runs the child again and again, each killed by its Reaper, until one
// ends by itself, and returns the steps at which the others were killed.
func KillAtEachStep(t testing.TB, c Child) []string {
	t.Helper()
	deaths := filepath.Join(t.TempDir(), "deaths")
	if err := os.WriteFile(deaths, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])                         //nolint:gosec // this test binary
		cmd.Env = append(append(os.Environ(), deathsVariable+"="+deaths), c.Env...) //nolint:forbidigo // as above
		var stderr strings.Builder
		cmd.Stderr = &stderr
		stdout := Must[io.ReadCloser](t)(cmd.StdoutPipe())
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(stdout).ReadString('\n'); err == nil && c.Started != nil {
			c.Started()
		}
		err := cmd.Wait()
		if c.Ended != nil {
			c.Ended()
		}
		if err == nil {
			return strings.Split(strings.TrimSpace(string(Must[[]byte](t)(os.ReadFile(deaths)))), "\n")
		}
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("a child ended by itself after %v: %v\n%s", time.Since(began), err, &stderr)
		}
	}
	t.Fatal("there is no end of steps")
	return nil
}
