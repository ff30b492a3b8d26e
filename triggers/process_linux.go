package triggers

import (
	"bytes"
	"context"
	"hash/fnv"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// procStat is what /proc says of a process.
type procStat struct {
	pid, parent, group int
	dead               bool   // waits to be reaped
	start              uint32 // since boot, in userHZ; the low bits
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
	start, _ := strconv.ParseUint(string(f[19]), 10, 64)
	s := procStat{pid: pid, dead: f[0][0] == 'Z' || f[0][0] == 'X', start: uint32(start)}
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

// userHZ is in how many parts of a second /proc counts the start of a process:
// 100 wherever Go runs, however fast the kernel's own clock ticks.
const userHZ = 100

// beforeStart is what startOf wants to know from before a process is started:
// the time since boot in the unit of /proc, of which 32 bits are kept.
func beforeStart() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return uint64(uint32(t.Nano() / (1e9 / userHZ)))
}

// startOf tells when a process that was just started began: between before and
// now, and in this boot of the machine. It does not ask /proc, which would slow
// down the process and its end.
func startOf(_ int, before uint64) uint64 {
	took := min(uint32(beforeStart())-uint32(before), math.MaxUint16)
	return bootHash()<<48 | before<<16 | uint64(took)
}

// began tells whether the process with this pid is the one that began then.
func began(pid int, start uint64) bool {
	s, ok := readStat(pid)
	return ok && start>>48 == bootHash() && s.start-uint32(start>>16) <= uint32(start&math.MaxUint16)
}

// bootHash tells this boot of the machine from others; not 0.
var bootHash = sync.OnceValue(func() uint64 { //nolint:gochecknoglobals // read once, constant while the machine runs
	h := fnv.New32a()
	if boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil { // else the time since boot must do
		_, _ = h.Write(boot)
	}
	return uint64(h.Sum32()&math.MaxUint16 | 1)
})

// orphanGroups finds the process groups that a former process of the server
// left behind with run r: by the leader's pid and start time, and where the
// leader is gone or its pid was not saved, by the event in the members'
// environment.
func orphanGroups(r *Run) []group {
	if began(r.PID, r.PIDStart) {
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
