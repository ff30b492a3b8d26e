package triggers

import (
	"context"
	"time"

	"jetstream/internal/api"
)

// dispatcher takes runs from the queue and executes as many at the same time as
// the order permits. It is for the goroutine of Serve.
type dispatcher struct {
	e     *Engine
	lanes *lanes // with OrderKey
	free  int    // how many further scripts may run
	all   int
	ended chan string // receives the key of each run that has ended
}

// dispatch executes the queue until ctx has ended and all started scripts as
// well. When hard ends, running scripts are ended.
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

// start starts the goroutine that executes a run and those that follow it.
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
		<-first.started // keeps the order of the starts if a run takes long to prepare
	}
}

// release ends the occupation of a slot by a run of the key.
func (d *dispatcher) release(key string) {
	d.free++
	if d.lanes != nil {
		delete(d.lanes.busy, key)
	}
}

// begin records the start of a run. It returns nil if the run may not start: it
// was cancelled, the queue is paused, or ctx has ended. The record is saved
// before the script starts, so that no process is unknown after a crash; begin
// retries until it is.
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

// tryBegin is one attempt of begin; start saves the record. The queue cannot be
// paused and the run not cancelled between the check and the start.
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
	e.payloads.remove(r)
	c := &current{run: r, event: r.Event, startTime: r.StartTime, since: time.Now(), started: make(chan struct{})}
	c.ctx, c.end = context.WithCancelCause(hard)
	e.mu.Lock()
	e.running[r.RunID] = c
	e.mu.Unlock()
	return c, nil
}

// carryOut executes one run and records its end. It returns the next run if
// that has begun with it.
func (e *Engine) carryOut(ctx, hard context.Context, c *current) (next *current) {
	r := c.run
	e.logStart(r)
	e.execute(ctx, hard, c)
	c.end(nil)
	c.markStarted()
	e.settle(c)
	took := time.Since(c.since)
	r.EndTime = max(api.Now(), r.StartTime)
	if r.Status == StatusInterrupted && r.Event == Launch.Name {
		r.Status, r.ErrorMessage = StatusCancelled, "the server stopped and ended the script; the next start has a launch of its own"
	}
	if r.Status == StatusInterrupted && r.PID != 0 { // without a process it has only waited
		r.lose(true, e.untilStop(c))
	}
	r.PID, r.PIDStart = 0, 0
	// Before the save, so that the counts include every record that is visible.
	if r.Status != StatusInterrupted {
		e.ran.Add(1)
	}
	e.count(r, took)
	if r.Status == StatusInterrupted {
		e.discard(r, c.prepared)
		again := e.retryOf(r)
		if err := e.o.Store.Interrupt(context.WithoutCancel(hard), r, again); err != nil {
			// It stays marked as running, which the next start detects.
			e.o.Log.Error("an interrupted trigger run could not be saved; the next start queues it again", "run", r.RunID, "error", err)
		} else {
			e.waiting.Add(1)
			e.payloads.add(again)
		}
	} else {
		next = e.endAndBegin(ctx, hard, c)
	}
	if next == nil {
		e.dropUpcoming(c)
	}
	e.logEnd(r, took)
	e.prune(hard, false)
	return next
}

// settle ends the time in which the run can be cancelled. A run that was, while
// the server stopped, is not interrupted, which would run it again.
func (e *Engine) settle(c *current) {
	interrupted := c.run.Status == StatusInterrupted
	if interrupted { // after a cancellation that is being saved
		e.gate.Lock()
		defer e.gate.Unlock()
	}
	e.mu.Lock()
	delete(e.running, c.run.RunID)
	e.mu.Unlock()
	if interrupted && c.cancelled != nil {
		c.run.Status, c.run.ErrorMessage = endedBecause(c.cancelled, 0)
	}
}

// save saves r and retries while the store fails, until ctx ends.
func (e *Engine) save(ctx context.Context, r *Run) {
	var log throttle
	for {
		// The attempt itself is not cancelled, so that a shutdown is recorded.
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

// throttle limits something to once a minute. Not safe for concurrent use.
type throttle struct{ last time.Time }

// due reports whether a minute has passed since it last returned true.
func (t *throttle) due() bool {
	if !t.last.IsZero() && time.Since(t.last) < time.Minute {
		return false
	}
	t.last = time.Now()
	return true
}
