package triggers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"jetstream/internal/api"
)

// current is a run that is being executed.
type current struct {
	run       *Run // for the goroutine that executes it
	event     string
	startTime api.Time
	since     time.Time
	// ctx ends when the script must end, with the reason as its cause.
	ctx context.Context
	end context.CancelCauseFunc
	// started is closed when the script has been started or could not be.
	started   chan struct{}
	once      sync.Once
	pid       int        // guarded by Engine.mu; 0 before the process runs
	cancelled *cancelled // guarded by Engine.gate; set when it is on disk

	prepared  *prepared // nil before prepare
	upcoming  *upcoming // the next run, or nil if unknown
	following []*Run    // the runs behind it, as far as known
}

func (c *current) markStarted() { c.once.Do(func() { close(c.started) }) }

// cancelled is the cause with which a cancelled script is ended.
type cancelled struct{ by string }

func (c *cancelled) Error() string { return "cancelled by " + c.by }

// running is the message of a run that was cancelled while its script ran.
func (c *cancelled) running() string { return c.Error() + " while its script ran" }

// Cancel cancels a run. A queued one ends at once; of a running one it begins
// to end the script, which may take as long as Grace. by names who cancels. It
// returns the run after that, when the cancellation is on disk. Codes: notFound;
// conflict when it has ended.
func (e *Engine) Cancel(ctx context.Context, runID, by string) (Run, error) {
	e.gate.Lock()
	defer e.gate.Unlock()
	cause := &cancelled{by}
	was, err := e.o.Store.Cancel(ctx, runID, cause.Error()+" before it began")
	if err != nil {
		return Run{}, err
	}
	if was {
		e.waiting.Add(-1)
		r, err := e.o.Store.Run(ctx, runID)
		if err == nil {
			e.payloads.remove(&r)
			e.count(&r, 0)
		}
		return r, err
	}
	e.mu.Lock()
	c := e.running[runID]
	e.mu.Unlock()
	if c != nil {
		saved, err := e.o.Store.CancelRunning(ctx, runID, cause.running())
		if err != nil {
			return Run{}, errUnsaved(err, "the cancellation of run "+runID)
		}
		if saved {
			c.cancelled = cause
			c.end(cause)
			return e.o.Store.Run(ctx, runID)
		}
	}
	r, err := e.o.Store.Run(ctx, runID)
	switch {
	case err != nil:
		return r, err
	case r.Status == StatusRunning:
		return Run{}, api.Errorf(api.CodeConflict, "the script of run %s is just ending; look at the run again", runID)
	}
	return Run{}, api.Errorf(api.CodeConflict, "run %s has ended as %s; only a run that waits or runs can be cancelled", runID, r.Status)
}

// Retry queues another run for the event of a run that has ended, behind all
// others. Codes: notFound; conflict while a run of that event waits or runs,
// and if there are no triggers.
func (e *Engine) Retry(ctx context.Context, runID string) (Run, error) {
	if e.o.Dir == "" {
		return Run{}, errNoTriggers()
	}
	r, err := e.o.Store.Retry(ctx, runID, func(of Run) *Run {
		next := e.retryOf(&of)
		next.Urgent, next.Lost, next.Process = 0, 0, e.o.ProcessID
		api.Announce(ctx, *next)
		return next
	})
	if err == nil {
		e.waiting.Add(1)
		e.payloads.add(&r)
		e.wakeDispatcher()
	}
	return r, err
}

// Pause pauses the queue until Resume, also after a restart: no scripts are
// started. Running scripts continue, and events are queued.
func (e *Engine) Pause(ctx context.Context) error { return e.setPaused(ctx, true) }

// Resume ends the pause of the queue.
func (e *Engine) Resume(ctx context.Context) error { return e.setPaused(ctx, false) }

func (e *Engine) setPaused(ctx context.Context, paused bool) error {
	e.gate.Lock()
	defer e.gate.Unlock()
	if err := e.o.Store.SetPaused(ctx, paused); err != nil {
		return errUnsaved(err, "whether the trigger queue is paused")
	}
	e.paused.Store(paused)
	e.wakeDispatcher()
	return nil
}

// Paused reports whether the queue is paused.
func (e *Engine) Paused() bool { return e.paused.Load() }

func errNoTriggers() error {
	return api.Errorf(api.CodeConflict, "this server has no trigger directory; start it with --trigger-dir")
}

// endedBecause returns status and message of a run whose script was ended.
func endedBecause(cause error, limit time.Duration) (Status, string) {
	if c, ok := errors.AsType[*cancelled](cause); ok {
		return StatusCancelled, c.running()
	}
	if errors.Is(cause, errTimeout) {
		return StatusTimeout, fmt.Sprintf("the script ran longer than %s and was ended", limit)
	}
	return StatusInterrupted, "the server stopped and ended the script; it runs again at the next start"
}
