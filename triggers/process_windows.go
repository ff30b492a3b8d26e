package triggers

import (
	"context"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is a job object with the script and what it starts; leader alone
// where no job could be made or after a restart.
type group struct {
	job    windows.Handle
	leader int
}

// groupAttr makes a process the leader of a new console group, and gives a
// batch file its line as cmd.exe reads it, which is not how programs do.
func groupAttr(path string, args []string) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	if isBatch(path) {
		attr.CmdLine = batchLine(path, args)
	}
	return attr
}

func groupOf(p *os.Process) group {
	g := group{leader: p.Pid}
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return g
	}
	const access = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE
	h, err := windows.OpenProcess(access, false, uint32(p.Pid))
	if err == nil {
		err = windows.AssignProcessToJobObject(job, h)
		_ = windows.CloseHandle(h)
	}
	if err != nil {
		_ = windows.CloseHandle(job)
		return g
	}
	g.job = job
	return g
}

func (g group) terminate() {
	_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(g.leader))
}

func (g group) kill() {
	if g.job != 0 {
		_ = windows.TerminateJobObject(g.job, 1)
		return
	}
	if p, err := os.FindProcess(g.leader); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

func (g group) alive() bool {
	if g.job == 0 {
		return processStart(g.leader) != 0
	}
	var info struct {
		TotalUserTime, TotalKernelTime, ThisPeriodUserTime, ThisPeriodKernelTime int64
		TotalPageFaultCount, TotalProcesses, ActiveProcesses, Terminated         uint32
	}
	err := windows.QueryInformationJobObject(g.job, windows.JobObjectBasicAccountingInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)), nil)
	return err == nil && info.ActiveProcesses > 0
}

func (g group) release() {
	if g.job != 0 {
		_ = windows.CloseHandle(g.job)
	}
}

// result is the exit status; there are no signals.
func (p *process) result() (exitCode *int, signal string) {
	if p.state == nil {
		return nil, ""
	}
	code := p.state.ExitCode()
	return &code, ""
}

// processStart tells when a process began, in units of 100 ns; 0 when no such
// process runs.
func processStart(pid int) uint64 {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return 0
	}
	defer func() { _ = windows.CloseHandle(h) }()
	if state, err := windows.WaitForSingleObject(h, 0); err != nil || state == windows.WAIT_OBJECT_0 {
		return 0
	}
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return 0
	}
	return uint64(created.HighDateTime)<<32 | uint64(created.LowDateTime)
}

// beforeStart is what startOf wants to know from before a process is started.
func beforeStart() uint64 { return 0 }

// startOf tells when a process that was just started began, for later.
func startOf(pid int, _ uint64) uint64 { return processStart(pid) }

// began tells whether the process with this pid is the one that began then.
func began(pid int, start uint64) bool { return start != 0 && processStart(pid) == start }

// orphanGroups finds the process that a former process of the server left
// behind with run r, by its pid and start time.
func orphanGroups(r *Run) []group {
	if began(r.PID, r.PIDStart) {
		return []group{{leader: r.PID}}
	}
	return nil
}

// reapAdopted has nothing to do on Windows.
func (e *Engine) reapAdopted(context.Context) {}
