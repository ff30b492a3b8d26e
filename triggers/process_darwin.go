package triggers

import (
	"context"

	"golang.org/x/sys/unix"
)

// zombie is the state of a dead process that is not reaped.
const zombie = 5

// alive reports whether the group has processes, not counting zombies.
func (g group) alive() bool {
	members, err := unix.SysctlKinfoProcSlice("kern.proc.pgrp", int(g))
	if err != nil {
		return unix.Kill(-int(g), 0) == nil
	}
	for _, m := range members {
		if m.Proc.P_stat != zombie {
			return true
		}
	}
	return false
}

// processStart returns the start time of a process in microseconds; 0 if there
// is no such process.
func processStart(pid int) uint64 {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(p.Proc.P_pid) != pid {
		return 0
	}
	return uint64(p.Proc.P_starttime.Sec)*1e6 + uint64(p.Proc.P_starttime.Usec)
}

// beforeStart returns the argument of startOf from before the start of a
// process.
func beforeStart() uint64 { return 0 }

// startOf returns the Run.PIDStart of a process that was just started.
func startOf(pid int, _ uint64) uint64 { return processStart(pid) }

// began reports whether the process of this pid has this Run.PIDStart.
func began(pid int, start uint64) bool { return start != 0 && processStart(pid) == start }

// orphanGroups finds the process group of run r that another process of the
// server has left, by pid and start time of its leader.
func orphanGroups(r *Run) []group {
	if began(r.PID, r.PIDStart) {
		return []group{group(r.PID)}
	}
	return nil
}

// reapAdopted does nothing: the server is never PID 1 on macOS.
func (e *Engine) reapAdopted(context.Context) {}

// mountedNoexec reports whether the file system of a file forbids to execute it.
func mountedNoexec(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Flags&unix.MNT_NOEXEC != 0
}
