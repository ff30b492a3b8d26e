package triggers

import (
	"context"

	"golang.org/x/sys/unix"
)

// zombie is the kernel's state of a dead process that was not reaped.
const zombie = 5

// alive tells whether a process of the group lives. One that is dead and was
// not reaped does not count.
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

// processStart tells when a process began, in microseconds; 0 when there is no
// such process.
func processStart(pid int) uint64 {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(p.Proc.P_pid) != pid {
		return 0
	}
	return uint64(p.Proc.P_starttime.Sec)*1e6 + uint64(p.Proc.P_starttime.Usec)
}

// beforeStart is what startOf wants to know from before a process is started.
func beforeStart() uint64 { return 0 }

// startOf tells when a process that was just started began, for later.
func startOf(pid int, _ uint64) uint64 { return processStart(pid) }

// began tells whether the process with this pid is the one that began then.
func began(pid int, start uint64) bool { return start != 0 && processStart(pid) == start }

// orphanGroups finds the process group that a former process of the server
// left behind with run r, by its leader's pid and start time.
func orphanGroups(r *Run) []group {
	if began(r.PID, r.PIDStart) {
		return []group{group(r.PID)}
	}
	return nil
}

// reapAdopted has nothing to do: PID 1 is never ours here.
func (e *Engine) reapAdopted(context.Context) {}
