package triggers

import (
	"bytes"
	"context"
	"hash/fnv"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// markAfter is how long a script runs before its process is saved: most short
// ones need no such write. An orphan of which a crash came sooner is found by
// the event in its environment.
const markAfter = 3 * time.Millisecond

// procStat is what /proc says of a process.
type procStat struct {
	pid, parent, group int
	dead               bool // waits to be reaped
	start              string
}

// readStat reads /proc/PID/stat; false when there is no such process.
func readStat(pid int) (procStat, bool) {
	b, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, false
	}
	// The second field is the name in parentheses and may hold anything.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return procStat{}, false
	}
	s := procStat{pid: pid, dead: f[0][0] == 'Z' || f[0][0] == 'X', start: string(f[19])}
	s.parent, _ = strconv.Atoi(string(f[1]))
	s.group, _ = strconv.Atoi(string(f[2]))
	return s, true
}

// processes lists the processes of this machine.
func processes() []procStat {
	names, _ := filepath.Glob("/proc/[0-9]*")
	all := make([]procStat, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		if s, ok := readStat(pid); ok {
			all = append(all, s)
		}
	}
	return all
}

// alive tells whether a process of the group lives. One that is dead and was
// not reaped, which is its parent's business, does not count.
func (g group) alive() bool {
	if syscall.Kill(-int(g), 0) == syscall.ESRCH {
		return false
	}
	for _, s := range processes() {
		if s.group == int(g) && !s.dead {
			return true
		}
	}
	return false
}

// processStart tells when a process began, as a number that no other process
// with this pid has, not even after the machine was started again; 0 when
// there is no such process.
func processStart(pid int) uint64 {
	s, ok := readStat(pid)
	if !ok {
		return 0
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		boot = nil // then the time since boot must do
	}
	h := fnv.New64a()
	_, _ = h.Write(boot)
	_, _ = h.Write([]byte(s.start))
	return max(h.Sum64(), 1)
}

// orphanGroups finds the process groups that a former process of the server
// left behind with run r: by the leader's pid and start time, and where the
// leader is gone or its pid was not saved, by the event in the members'
// environment.
func orphanGroups(r *Run) []group {
	if r.PID > 0 && r.PIDStart != 0 && processStart(r.PID) == r.PIDStart {
		return []group{group(r.PID)}
	}
	event := []byte("\x00" + ownPrefix + "EVENT_ID=" + r.EventID + "\x00")
	attempt := []byte("\x00" + ownPrefix + "ATTEMPT=" + itoa(r.Attempt) + "\x00")
	found := map[int]bool{}
	for _, s := range processes() {
		if s.dead || s.group <= 1 || s.group == syscall.Getpgrp() || found[s.group] || r.PID > 0 && s.group != r.PID {
			continue
		}
		environ, err := os.ReadFile("/proc/" + itoa(s.pid) + "/environ")
		environ = append([]byte{0}, environ...)
		if err == nil && bytes.Contains(environ, event) && bytes.Contains(environ, attempt) {
			found[s.group] = true
		}
	}
	var groups []group
	for pgid := range found {
		groups = append(groups, group(pgid))
	}
	return groups
}

// reapAdopted reaps, as PID 1 of a container, the dead that nobody else does,
// until ctx ends. Anywhere else the system's own init does that.
func (e *Engine) reapAdopted(ctx context.Context) {
	if os.Getpid() != 1 {
		return
	}
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)
	for {
		e.children.reap()
		select {
		case <-died:
		case <-ctx.Done():
			e.children.reap()
			return
		}
	}
}

// reap takes in every dead child that was not started here.
func (c *children) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range processes() {
		if _, own := c.pids[s.pid]; own || !s.dead || s.parent != os.Getpid() {
			continue
		}
		_, _ = syscall.Wait4(s.pid, nil, syscall.WNOHANG, nil)
	}
}
