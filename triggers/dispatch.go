package triggers

import (
	"context"
	"time"

	"jetstream/internal/api"
)

// dispatcher takes runs from the queue and carries out as many at a time as
// the order allows. It belongs to Serve's goroutine.
type dispatcher struct {
	e     *Engine
	lanes *lanes // with OrderKey
	free  int    // how many further scripts may run
	all   int
	ended chan string // the key of a run that has ended
}

// dispatch runs the queue until ctx ends and all its scripts have.
func (e *Engine) dispatch(ctx, hard context.Context) {
	n := e.o.Concurrency
	if e.o.Order == OrderGlobal {
		n = 1
	}
	d := &dispatcher{e: e, free: n, all: n, ended: make(chan string)}
	if e.o.Order == OrderKey {
		d.lanes = newLanes(e.o.Store)
	}
	defer func() {
		for d.free < d.all {
			d.release(<-d.ended)
		}
	}()
	for ctx.Err() == nil {
		r, err := d.next(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			e.o.Log.Error("the trigger queue could not be read; trying again", "error", err)
			pause(ctx, e.retryAfter)
		case r != nil:
			d.start(ctx, hard, r)
		default:
			if d.free == d.all {
				e.prune(hard, true)
			}
			select {
			case key := <-d.ended:
				d.release(key)
			case <-e.wake:
			case <-ctx.Done():
			}
		}
	}
}

// next returns the run to start now, or nil.
func (d *dispatcher) next(ctx context.Context) (*Run, error) {
	switch {
	case d.free == 0 || d.e.Paused():
		return nil, nil
	case d.lanes != nil:
		return d.lanes.next(ctx)
	}
	return d.e.o.Store.Next(ctx)
}

// start lets a run begin beside the others.
func (d *dispatcher) start(ctx, hard context.Context, r *Run) {
	c := d.e.begin(ctx, hard, r)
	if c == nil {
		return
	}
	d.free--
	if d.lanes != nil {
		d.lanes.busy[r.Key] = true
	}
	first := c
	go func() {
		for c != nil {
			c = d.e.carryOut(ctx, hard, c)
		}
		d.ended <- r.Key
	}()
	if d.e.o.Order == OrderNone {
		<-first.started // in order, also where one takes long to prepare
	}
}

func (d *dispatcher) release(key string) {
	d.free++
	if d.lanes != nil {
		delete(d.lanes.busy, key)
	}
}

// begin records the start of a run, and returns nil when it is not to start:
// it was cancelled, the queue stands still, or ctx has ended. Nothing starts
// before the record says so: else a crash would leave a process that nobody
// knows of. A run that cannot be recorded must neither start nor be forgotten.
func (e *Engine) begin(ctx, hard context.Context, r *Run) *current {
	var log throttle
	for {
		c, err := e.tryBegin(ctx, hard, r, e.o.Store.Start)
		if err == nil {
			return c
		}
		e.saveFailed(&log, r, err)
		if !pause(ctx, e.retryAfter) {
			return nil
		}
	}
}

// tryBegin is begin's one attempt; start saves it. Nobody pauses the queue or
// cancels the run between the look at it and its start.
func (e *Engine) tryBegin(ctx, hard context.Context, r *Run, start func(context.Context, *Run) (bool, error)) (*current, error) {
	e.gate.Lock()
	defer e.gate.Unlock()
	if e.Paused() || ctx.Err() != nil {
		return nil, nil
	}
	r.Status, r.StartTime = StatusRunning, api.Now()
	started, err := start(context.WithoutCancel(ctx), r)
	if err != nil || !started {
		return nil, err
	}
	e.saveFailing.Store(false)
	e.waiting.Add(-1)
	c := &current{run: r, event: r.Event, startTime: r.StartTime, since: time.Now(), started: make(chan struct{})}
	c.ctx, c.end = context.WithCancelCause(hard)
	e.mu.Lock()
	e.running[r.RunID] = c
	e.mu.Unlock()
	return c, nil
}

// carryOut runs one script and records how it ended. It returns the run to
// carry out next if that has begun already.
func (e *Engine) carryOut(ctx, hard context.Context, c *current) (next *current) {
	r := c.run
	e.logStart(r)
	e.execute(ctx, hard, c)
	c.end(nil)
	c.begun()
	// From here on it cannot be cancelled.
	e.mu.Lock()
	delete(e.running, r.RunID)
	e.mu.Unlock()
	took := time.Since(c.since)
	r.EndTime = max(api.Now(), r.StartTime)
	if r.Status == StatusInterrupted && r.Event == Launch.Name {
		r.Status, r.ErrorMessage = StatusCancelled, "the server stopped and ended the script; the next start has a launch of its own"
	}
	r.PID, r.PIDStart = 0, 0
	// Counted before it is saved: whoever sees the record sees it counted.
	if r.Status != StatusInterrupted {
		e.ran.Add(1)
	}
	e.count(r, took)
	if r.Status == StatusInterrupted {
		e.giveUp(r, c.ready)
		if err := e.o.Store.Interrupt(context.WithoutCancel(hard), r, e.again(r)); err != nil {
			// It stays marked as running and is found by the next start.
			e.o.Log.Error("an interrupted trigger run could not be saved; the next start queues it again", "run", r.RunID, "error", err)
		} else {
			e.waiting.Add(1)
		}
	} else {
		next = e.endAndBegin(ctx, hard, c)
	}
	if next == nil {
		e.forgetAhead(c)
	}
	e.logEnd(r, took)
	e.prune(hard, false)
	return next
}

// save marks r in the store and tries again while the store fails, until ctx
// ends.
func (e *Engine) save(ctx context.Context, r *Run) {
	var log throttle
	for {
		// The attempt itself is not cut off, so that a shutdown is recorded too.
		err := e.o.Store.Mark(context.WithoutCancel(ctx), r)
		if err == nil {
			e.saveFailing.Store(false)
			return
		}
		e.saveFailed(&log, r, err)
		if !pause(ctx, e.retryAfter) {
			return
		}
	}
}

func (e *Engine) saveFailed(log *throttle, r *Run, err error) {
	e.saveFailing.Store(true)
	if log.due() {
		e.o.Log.Error("a trigger run could not be recorded; the queue waits until it can", "run", r.RunID, "event", r.Event, "error", err)
	}
}

// throttle lets something happen at most once a minute. Not safe for
// concurrent use.
type throttle struct{ last time.Time }

func (t *throttle) due() bool {
	if !t.last.IsZero() && time.Since(t.last) < time.Minute {
		return false
	}
	t.last = time.Now()
	return true
}
