//go:build unix

package triggers

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// group is the id of a process group, which is the pid of its leader.
type group int

// groupAttr makes a process the leader of a new session, and so of a new group.
// A session of its own has no controlling terminal: a script that opens
// /dev/tty gets an error, and is not stopped by SIGTTIN or SIGTTOU.
func groupAttr(string, []string) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}

func groupOf(p *os.Process) group { return group(p.Pid) }

// terminate asks the processes to end. SIGCONT lets those that are stopped
// handle SIGTERM.
func (g group) terminate() {
	_ = syscall.Kill(-int(g), syscall.SIGTERM)
	_ = syscall.Kill(-int(g), syscall.SIGCONT)
}

func (g group) kill()    { _ = syscall.Kill(-int(g), syscall.SIGKILL) }
func (g group) release() {}

// result returns the exit status, or the name of the signal that has ended the
// process.
func (p *process) result() (exitCode *int, signal string) {
	if p.state == nil {
		return nil, ""
	}
	ws, ok := p.state.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		if name := unix.SignalName(ws.Signal()); name != "" {
			return nil, name
		}
		return nil, "signal " + itoa(int(ws.Signal())) // real-time signals have no name
	}
	code := p.state.ExitCode()
	return &code, ""
}
