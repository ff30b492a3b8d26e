package triggers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"jetstream/internal/api"
)

// current is a run whose script is being carried out.
type current struct {
	run       *Run // belongs to the goroutine that carries it out
	event     string
	startTime api.Time
	since     time.Time
	// ctx ends when the script must; its cause says why.
	ctx context.Context
	end context.CancelCauseFunc
	// started is closed once the script's process runs, or will not.
	started chan struct{}
	once    sync.Once
	pid     int // guarded by Engine.mu; 0 before the process runs

	ready     *ready // what the script needs; nil: not made yet
	ahead     *ahead // the run that goes next, where it is known
	following []*Run // those behind it, as far as they are known
}

func (c *current) begun() { c.once.Do(func() { close(c.started) }) }

// cancelled is the cause that ends a script which somebody cancelled.
type cancelled struct{ by string }

func (c *cancelled) Error() string { return "cancelled by " + c.by }

// Cancel ends a run: one that waits at once, a running one by ending its
// script's process group, which may take as long as Grace. by names who wants
// it. The run is returned as it is now. Codes: notFound; conflict when it has
// ended.
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
			e.count(&r, 0)
		}
		return r, err
	}
	e.mu.Lock()
	c := e.running[runID]
	e.mu.Unlock()
	if c != nil {
		c.end(cause)
	}
	r, err := e.o.Store.Run(ctx, runID)
	switch {
	case err != nil || c != nil:
		return r, err
	case r.Status == StatusRunning:
		return Run{}, api.Errorf(api.CodeConflict, "the script of run %s is just ending; look at the run again", runID)
	}
	return Run{}, api.Errorf(api.CodeConflict, "run %s has ended as %s; only a run that waits or runs can be cancelled", runID, r.Status)
}

// Retry queues another attempt at the event of a run that has ended, behind
// all others. Codes: notFound; conflict while a run of that event waits or
// runs, and where there are no triggers.
func (e *Engine) Retry(ctx context.Context, runID string) (Run, error) {
	if e.o.Dir == "" {
		return Run{}, errNoTriggers()
	}
	r, err := e.o.Store.Retry(ctx, runID, func(of Run) *Run {
		next := e.again(&of)
		next.Urgent, next.Process = 0, e.o.ProcessID
		return next
	})
	if err == nil {
		e.waiting.Add(1)
		e.notice()
	}
	return r, err
}

// Pause keeps the queue from starting further scripts, also after a restart,
// until Resume. Running scripts go on; events are queued as ever.
func (e *Engine) Pause(ctx context.Context) error { return e.setPaused(ctx, true) }

// Resume ends a pause.
func (e *Engine) Resume(ctx context.Context) error { return e.setPaused(ctx, false) }

func (e *Engine) setPaused(ctx context.Context, paused bool) error {
	e.gate.Lock()
	defer e.gate.Unlock()
	if err := e.o.Store.SetPaused(ctx, paused); err != nil {
		return errUnsaved(err, "whether the trigger queue is paused")
	}
	e.paused.Store(paused)
	e.notice()
	return nil
}

// Paused tells whether the queue stands still.
func (e *Engine) Paused() bool { return e.paused.Load() }

func errNoTriggers() error {
	return api.Errorf(api.CodeConflict, "this server has no trigger directory; start it with --trigger-dir")
}

// endedBecause is how a run ended whose script was ended.
func endedBecause(cause error, limit time.Duration) (Status, string) {
	if c, ok := errors.AsType[*cancelled](cause); ok {
		return StatusCancelled, c.Error() + " while its script ran"
	}
	if errors.Is(cause, errTimeout) {
		return StatusTimeout, fmt.Sprintf("the script ran longer than %s and was ended", limit)
	}
	return StatusInterrupted, "the server stopped and ended the script; it runs again at the next start"
}
