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

// procStat is the part of /proc/PID/stat that is used here.
type procStat struct {
	pid, parent, group int
	dead               bool   // a zombie
	start              uint32 // since boot, in userHZ; the low bits
}

// readStat reads /proc/PID/stat; false if there is no such process.
func readStat(pid int) (procStat, bool) {
	b, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, false
	}
	// The second field is the name in parentheses, which may contain spaces.
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

// processes lists all processes.
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

// alive reports whether the group has processes, not counting zombies.
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

// userHZ is the unit of start times in /proc, per second. It is 100 on all
// architectures that Go supports.
const userHZ = 100

// beforeStart returns the argument of startOf from before the start of a
// process: the low 32 bits of the time since boot in the unit of /proc.
func beforeStart() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return uint64(uint32(t.Nano() / (1e9 / userHZ)))
}

// startOf returns the Run.PIDStart of a process that was just started: a hash
// of the boot id, before, and the time since then. It does not read /proc,
// which would slow down the process.
func startOf(_ int, before uint64) uint64 {
	took := min(uint32(beforeStart())-uint32(before), math.MaxUint16)
	return bootHash()<<48 | before<<16 | uint64(took)
}

// began reports whether the process of this pid has this Run.PIDStart.
func began(pid int, start uint64) bool {
	s, ok := readStat(pid)
	return ok && start>>48 == bootHash() && s.start-uint32(start>>16) <= uint32(start&math.MaxUint16)
}

// bootHash returns a hash of the boot id, which is not 0.
var bootHash = sync.OnceValue(func() uint64 { //nolint:gochecknoglobals // read once, constant while the machine runs
	h := fnv.New32a()
	if boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil { // without it only the time since boot is compared
		_, _ = h.Write(boot)
	}
	return uint64(h.Sum32()&math.MaxUint16 | 1)
})

// orphanGroups finds the process groups of run r that another process of the
// server has left: by pid and start time of the leader or, if the leader has
// ended or its pid was not saved, by the event in the environment of the
// members.
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

// reapAdopted reaps adopted zombies until ctx ends, if the server is PID 1 of a
// container. Elsewhere init does that.
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

// reap reaps all zombies among the children that were not started by start.
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

// mountedNoexec reports whether the file system of a file forbids to execute it.
func mountedNoexec(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Flags&unix.ST_NOEXEC != 0
}
