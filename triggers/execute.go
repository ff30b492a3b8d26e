package triggers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// execution is the execution of one run. It is for one goroutine.
type execution struct {
	*current
	e       *Engine
	r       *Run            // that of current
	serving context.Context // ends when no further script is to start
	hard    context.Context // ends with the engine

	proc *process
}

// execute executes one run, from the check of its script to the end of its
// output, and sets its final status, also after a panic.
func (e *Engine) execute(ctx, hard context.Context, c *current) {
	r := c.run
	x := &execution{current: c, e: e, r: r, serving: ctx, hard: hard}
	defer func() {
		if x.proc != nil {
			x.proc.group.release()
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			e.o.Log.Error("panic in the trigger runner; the queue goes on", "run", r.RunID, "event", r.Event,
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			r.Status, r.ErrorMessage = StatusFailed, fmt.Sprintf("internal error while the script was run: %v", p)
			x.abandon()
		}
	}()
	if err := x.beginOrWait(); err != nil {
		x.fail(err)
	}
}

// beginOrWait is begin, but after a fault of the place it waits until that is
// mended: the run does not fail for it. When serving ends it interrupts the run.
func (x *execution) beginOrWait() error {
	w := placeWait{e: x.e, what: "run " + x.r.RunID}
	defer w.end()
	for {
		err := x.begin()
		if err == nil || !ofPlace(err) || x.ctx.Err() != nil {
			return err
		}
		// What was prepared holds descriptors, of which there may be too few.
		x.e.discard(x.r, x.prepared)
		x.prepared = nil
		w.wait(err, x.serving.Done(), x.ctx.Done())
		if x.serving.Err() != nil {
			x.end(errShutdown)
			return err
		}
	}
}

// begin prepares and starts the script and waits for its end. It returns an
// error if the script could not be started.
func (x *execution) begin() error {
	path, err := x.e.scripts.checked(x.r.Event, os.Geteuid())
	if err != nil {
		return err
	}
	args, err := arguments(x.r.Parameters)
	if err != nil {
		return fmt.Errorf("the event's parameters cannot be read: %w", err)
	}
	if onWindows && isBatch(path) {
		args = batchArguments(path, args)
	}
	if x.prepared == nil {
		if err := x.e.prepareRun(x.current); err != nil {
			return err
		}
	}
	token := ""
	if t := x.e.o.Tokens; t != nil {
		token = t.IssueRunToken(x.r.User, x.r.Event == Launch.Name, x.r.Depth)
		defer t.RevokeRunToken(token)
	}
	if err := x.start(path, args, x.e.environment(x.r, &x.prepared.spooled, token)); err != nil {
		if _, gone := x.e.scripts.find(x.r.Event); gone != nil { // it is the working directory, too
			return gone
		}
		return err
	}
	x.follow()
	return nil
}

// start starts the script.
func (x *execution) start(path string, args, env []string) (err error) {
	p := x.prepared
	attr := &os.ProcAttr{Dir: x.e.o.Dir, Env: env, Files: []*os.File{p.stdin, p.out.w, p.err.w}, Sys: groupAttr(path, args)}
	if x.proc, err = x.e.launch(x.ctx, path, args, attr); err != nil {
		return err
	}
	p.used = true
	p.out.begin(x.e)
	p.err.begin(x.e)
	x.e.mu.Lock()
	x.pid = x.proc.Pid
	x.e.mu.Unlock()
	x.markStarted()
	x.markProcess()
	x.e.lookAhead(x.current)
	return nil
}

// follow waits until the script has exited and its output is closed, and sets
// the result. When x.ctx ends it ends the script.
func (x *execution) follow() {
	limit := x.e.limits.Load().Timeout
	if limit > 0 {
		timer := time.AfterFunc(limit, func() { x.end(errTimeout) })
		defer timer.Stop()
	}
	slow := time.NewTimer(x.e.slowAfter)
	defer slow.Stop()
	forced := false
	for waiting := true; waiting; {
		select {
		case <-x.proc.exited:
			waiting = false
		case <-x.ctx.Done():
			forced, waiting = true, false
		case <-slow.C:
			if !x.logSlow() {
				slow.Reset(x.e.slowAfter)
			}
		}
	}
	if forced {
		x.proc.endGroup(context.Background(), x.e.limits.Load().Grace)
		<-x.proc.exited
	}
	x.collect()
	x.r.ExitCode, x.r.Signal = x.proc.result()
	switch {
	case forced:
		x.r.Status, x.r.ErrorMessage = endedBecause(context.Cause(x.ctx), limit)
	case x.proc.err != nil:
		x.r.Status, x.r.ErrorMessage = StatusFailed, "how the script ended is not known: "+x.proc.err.Error()
	case x.r.Signal != "":
		x.r.Status, x.r.ErrorMessage = StatusFailed, "the script was ended by "+x.r.Signal
	case x.r.ExitCode != nil && *x.r.ExitCode == 0:
		x.r.Status = StatusSuccess
	default:
		x.r.Status, x.r.ErrorMessage = StatusFailed, "the script ended with exit status "+strconv.Itoa(*x.r.ExitCode)
	}
}

// markProcess saves the process of the run, by which it is found after a crash.
// If it cannot be saved, it is found by its environment, if at all.
func (x *execution) markProcess() {
	x.r.PID, x.r.PIDStart = x.proc.Pid, x.proc.start
	if err := x.e.o.Store.MarkProcess(x.r); err != nil {
		x.e.o.Log.Error("the process id of a trigger run could not be saved", "run", x.r.RunID, "error", err)
	}
}

// collect waits for the end of both outputs, outputWait at most, and stores
// them in the run. Output that a background child holds open is discarded from
// then on.
func (x *execution) collect() {
	timer := time.NewTimer(x.e.outputWait)
	defer timer.Stop()
	late := false
	out, err := x.prepared.out, x.prepared.err
	for _, s := range []*outputStream{out, err} {
		if late {
			continue
		}
		select {
		case <-s.done:
		case <-timer.C:
			late = true
		}
	}
	x.r.Stdout, x.r.Stderr = out.close(), err.close()
	out.detach(x.hard, x.e)
	err.detach(x.hard, x.e)
}

// logSlow logs that other runs wait for the script. It reports whether there
// are any.
func (x *execution) logSlow() bool {
	n := x.e.waiting.Load()
	if n <= 0 {
		return false
	}
	x.e.o.Log.Warn("a trigger script holds up others", "script", x.e.scriptPath(x.r.Event), "run", x.r.RunID,
		"pid", x.proc.Pid, "since", x.r.StartTime.Std(), "waiting", n)
	return true
}

// fail sets the result of a run whose script could not be started.
func (x *execution) fail(err error) {
	x.r.Status, x.r.ErrorMessage = StatusFailed, err.Error()
	if errors.Is(err, errNoScript) {
		x.r.Status = StatusCancelled
		x.r.ErrorMessage = x.e.scriptPath(x.r.Event) + " does not exist; it was removed, or the directory could not be read when the event happened"
	}
	if cause := context.Cause(x.ctx); cause != nil {
		x.r.Status, x.r.ErrorMessage = endedBecause(cause, x.e.limits.Load().Timeout)
	}
}

// abandon kills the script after a panic.
func (x *execution) abandon() {
	if x.proc == nil {
		return
	}
	x.proc.endGroup(context.Background(), -1)
	<-x.proc.exited
	x.r.ExitCode, x.r.Signal = x.proc.result()
	x.collect()
}

// launch starts the process. If the file is being written or the process table
// is full, it retries a few times.
func (e *Engine) launch(ctx context.Context, path string, args []string, attr *os.ProcAttr) (*process, error) {
	argv := append([]string{path}, args...)
	delay := 10 * time.Millisecond
	for try := 1; ; try++ {
		p, err := e.children.start(argv, attr)
		if err == nil {
			return p, nil
		}
		switch {
		case errors.Is(err, syscall.ENOEXEC) && argv[0] == path && !onWindows:
			// Like execvp for a text file without #!.
			if err := explainENOEXEC(path); err != nil {
				return nil, err
			}
			argv = append([]string{"/bin/sh", path}, args...)
		case (errors.Is(err, syscall.ETXTBSY) || errors.Is(err, syscall.EAGAIN)) && try < 5 && pause(ctx, delay):
			delay *= 2
		default:
			return nil, explainStart(path, err)
		}
	}
}

func explainStart(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT):
		return explainENOENT(path)
	case errors.Is(err, syscall.ETXTBSY):
		return fmt.Errorf("%s is open for writing; put scripts in place by renaming them", path)
	case errors.Is(err, syscall.E2BIG):
		return fmt.Errorf("arguments and environment are too long together; shorten what --trigger-env passes on")
	case errors.Is(err, syscall.EBADF):
		// A start moves a descriptor of its own above those of the script, and
		// the limit on descriptors answers EBADF to that.
		return fmt.Errorf("%s cannot be started: %w", path, syscall.EMFILE)
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM):
		return fmt.Errorf("no further process can be started (%w); raise the limits of the server's user", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s may not be executed: its rights, its interpreter's or the file system's mount options forbid it", path)
	}
	return fmt.Errorf("%s cannot be started: %w", path, err)
}

// children starts processes and knows those that run, so that reap does not
// reap them. Safe for concurrent use.
type children struct {
	mu   sync.Mutex
	pids map[int]struct{}
}

func (c *children) start(argv []string, attr *os.ProcAttr) (*process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := beforeStart()
	p, err := os.StartProcess(argv[0], argv, attr)
	if err != nil {
		return nil, err
	}
	if c.pids == nil {
		c.pids = map[int]struct{}{}
	}
	c.pids[p.Pid] = struct{}{}
	proc := &process{Process: p, start: startOf(p.Pid, before), exited: make(chan struct{})}
	proc.group = groupOf(p)
	go func() {
		proc.state, proc.err = p.Wait()
		c.mu.Lock()
		delete(c.pids, p.Pid)
		c.mu.Unlock()
		close(proc.exited)
	}()
	return proc, nil
}
