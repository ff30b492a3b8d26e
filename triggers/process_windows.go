package triggers

import (
	"context"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is a job object with a script and the processes that it starts. job is
// 0 if no job object could be made, and after a restart of the server.
type group struct {
	job    windows.Handle
	leader int
}

// groupAttr makes a process the leader of a new console group. For a batch file
// it also sets the command line, which cmd.exe parses differently from
// programs.
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

// result returns the exit status. There are no signals.
func (p *process) result() (exitCode *int, signal string) {
	if p.state == nil {
		return nil, ""
	}
	code := p.state.ExitCode()
	return &code, ""
}

// processStart returns the start time of a process in units of 100 ns; 0 if
// there is no such process.
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

// beforeStart returns the argument of startOf from before the start of a
// process.
func beforeStart() uint64 { return 0 }

// startOf returns the Run.PIDStart of a process that was just started.
func startOf(pid int, _ uint64) uint64 { return processStart(pid) }

// began reports whether the process of this pid has this Run.PIDStart.
func began(pid int, start uint64) bool { return start != 0 && processStart(pid) == start }

// orphanGroups finds the process of run r that another process of the server
// has left, by pid and start time.
func orphanGroups(r *Run) []group {
	if began(r.PID, r.PIDStart) {
		return []group{{leader: r.PID}}
	}
	return nil
}

// reapAdopted does nothing on Windows.
func (e *Engine) reapAdopted(context.Context) {}
