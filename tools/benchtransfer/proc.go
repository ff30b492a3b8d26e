//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// tick is the unit of processor times in /proc/PID/stat: USER_HZ, which is
	// 100 on every architecture that Go runs on.
	tick = time.Second / 100
	// startTime bounds the start of a server, endTime its end.
	startTime = 20 * time.Second
	endTime   = 10 * time.Second
	// pollTime is how often is looked for what nobody reports.
	pollTime = 10 * time.Millisecond
)

// poll waits until done reports true, for limit at most.
func poll(ctx context.Context, limit time.Duration, done func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(pollTime)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return true
}

// process is a server that this program has started.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   output // what it wrote
	ended chan struct{}
}

// output keeps what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startIn starts a command in a network namespace; empty is that of this program.
func startIn(ns string, cmd *exec.Cmd) error {
	if ns == "" {
		return cmd.Start()
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, which is in ns, ends with the goroutine
		f, err := os.Open("/run/netns/" + ns)
		if err == nil {
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
			f.Close()
		}
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}

// startProcess starts a server in a process group of its own, so that an
// interrupt at the terminal reaches this program alone, which ends the others.
func startProcess(name, ns string, argv []string) (*process, error) {
	p := &process{name: name, cmd: exec.CommandContext(context.Background(), argv[0], argv[1:]...), ended: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.WaitDelay = time.Second
	if err := startIn(ns, p.cmd); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is seen by those who need it
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// await waits until the server is ready.
func (p *process) await(ctx context.Context, ready func() bool) error {
	ok := poll(ctx, startTime, func() bool { return p.hasEnded() || ready() })
	if p.hasEnded() {
		return fmt.Errorf("%s ended: %s", p.name, lastLine(p.log.String()))
	}
	if !ok {
		return fmt.Errorf("%s is not ready after %s", p.name, startTime)
	}
	return nil
}

// listensOn reports whether some process in the network namespace of p listens
// on a TCP port.
func (p *process) listensOn(port int) bool {
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", p.pid(), table))
		if err == nil && hasListener(string(b), port) {
			return true
		}
	}
	return false
}

// hasListener looks for a listening socket in the text of /proc/net/tcp.
func hasListener(table string, port int) bool {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) > 3 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			return true
		}
	}
	return false
}

// children returns the processes that descend from pid.
func children(pid int) (all []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue // it has ended since
		}
		for f := range strings.FieldsSeq(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(append(all, child), children(child)...)
			}
		}
	}
	return all
}

// settle waits until p has no children, so that their processor time counts
// as that of p, and kills those that stay longer than patience.
func (p *process) settle(ctx context.Context, patience time.Duration) {
	if poll(ctx, patience, func() bool { return len(children(p.pid())) == 0 }) {
		return
	}
	for _, child := range children(p.pid()) {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	poll(context.WithoutCancel(ctx), time.Second, func() bool { return len(children(p.pid())) == 0 })
}

// end ends p and what it has started.
func (p *process) end() {
	left := children(p.pid())
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if !poll(context.Background(), endTime, p.hasEnded) {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	for _, child := range left {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
}

// cpu is the processor time of p and of its children that have ended.
func (p *process) cpu() time.Duration {
	if p == nil {
		return 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		return 0
	}
	d, _ := parseStat(string(b))
	return d
}

// parseStat adds up the processor times in the text of /proc/PID/stat: user and
// system, the process's own and those of the children it has waited for.
func parseStat(text string) (time.Duration, error) {
	_, rest, ok := cutLast(text, ") ") // the name of the program may hold anything
	f := strings.Fields(rest)
	if !ok || len(f) < 15 {
		return 0, errors.New("not a line of /proc/PID/stat")
	}
	var ticks int64
	for _, text := range f[11:15] {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// peakMemory is the most resident memory of p since it was last reset, in bytes.
func (p *process) peakMemory() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return 0
	}
	return parsePeak(string(b))
}

// parsePeak finds VmHWM in the text of /proc/PID/status.
func parsePeak(text string) int64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			if f := strings.Fields(rest); len(f) == 2 && f[1] == "kB" {
				n, _ := strconv.ParseInt(f[0], 10, 64)
				return n << 10
			}
		}
	}
	return 0
}

// resetPeak makes peakMemory begin anew.
func (p *process) resetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid()), []byte("5"), 0)
}

// lastLine is the last line with text in it.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
