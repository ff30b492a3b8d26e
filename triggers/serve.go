package triggers

import (
	"context"
	"errors"
	"time"

	"jetstream/internal/api"
)

// errShutdown and errTimeout are the causes that end a running script.
var (
	errShutdown = errors.New("the server stopped")
	errTimeout  = errors.New("the time limit was reached")
)

// Serve runs the queue until ctx ends; then it lets the running script finish
// within ShutdownGrace, ends it if it does not, and returns when all its
// goroutines are done. Call it once. What a former process left running is
// ended and queued again first.
func (e *Engine) Serve(ctx context.Context) error {
	// hard outlives ctx by ShutdownGrace and ends whatever still runs.
	hard, end := context.WithCancelCause(context.WithoutCancel(ctx))
	e.background.Go(func() { e.reapAdopted(hard) })
	e.background.Go(func() {
		select {
		case <-ctx.Done():
			pause(hard, max(e.o.ShutdownGrace, 0))
			end(errShutdown)
		case <-hard.Done():
		}
	})
	err := e.takeOver(ctx, hard)
	if err == nil {
		if e.o.Dir != "" {
			e.work(ctx, hard)
		}
		<-ctx.Done()
	}
	end(errShutdown) // also the sign for drainers of leftover pipes
	e.background.Wait()
	return err
}

// takeOver brings the queue into order after a former process: its orphans are
// ended, their runs queued again before all others, its launches dropped.
func (e *Engine) takeOver(ctx, hard context.Context) error {
	running, err := e.o.Store.Running(hard)
	if err != nil {
		return api.Wrap(err, api.CodeInternal, "the trigger queue could not be read")
	}
	for _, r := range running {
		e.endOrphan(ctx, r)
		r.EndTime, r.PID, r.PIDStart = api.Now(), 0, 0
		if r.Event == Launch.Name && r.Process != e.o.ProcessID {
			r.Status, r.ErrorMessage = StatusCancelled, droppedLaunch
			err = e.o.Store.Mark(hard, r)
		} else {
			r.Status = StatusInterrupted
			r.ErrorMessage = "the server ended while the script ran; it runs again"
			err = e.o.Store.Interrupt(hard, r, e.again(r))
		}
		if err != nil {
			return api.Wrap(err, api.CodeInternal, "the run that was interrupted could not be queued again")
		}
	}
	if _, err := e.o.Store.DropLaunches(hard, e.o.ProcessID, droppedLaunch); err != nil {
		return api.Wrap(err, api.CodeInternal, "launch runs of a former process could not be dropped")
	}
	if e.o.Dir == "" {
		return nil
	}
	return e.emptySpool()
}

const droppedLaunch = "dropped: this launch belongs to a former process of the server"

// work is the runner: it takes the oldest run, carries it out, takes the next.
// Several of them, each with the keys it may take, would be lanes.
func (e *Engine) work(ctx, hard context.Context) {
	for ctx.Err() == nil {
		r, err := e.o.Store.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			e.o.Log.Error("the trigger queue could not be read; trying again", "error", err)
			pause(ctx, e.retryAfter)
		case r == nil:
			e.prune(hard, true)
			select {
			case <-e.wake:
			case <-ctx.Done():
			}
		default:
			e.carryOut(ctx, hard, r)
			e.prune(hard, false)
		}
	}
}

// carryOut runs one script and records how it ended.
func (e *Engine) carryOut(ctx, hard context.Context, r *Run) {
	r.Status, r.StartTime = StatusRunning, api.Now()
	// Nothing starts before the record says so: else a crash would leave a
	// process that nobody knows of.
	if !e.save(ctx, r) {
		return // still queued
	}
	began := time.Now()
	e.logStart(hard, r)
	e.execute(hard, r)
	r.EndTime = max(api.Now(), r.StartTime)
	r.PID, r.PIDStart = 0, 0
	if r.Status == StatusInterrupted && r.Event != Launch.Name {
		again := e.again(r)
		if err := e.o.Store.Interrupt(context.WithoutCancel(hard), r, again); err != nil {
			// It stays marked as running and is found by the next start.
			e.o.Log.Error("an interrupted trigger run could not be saved; the next start queues it again", "run", r.RunID, "error", err)
		}
	} else {
		if r.Status == StatusInterrupted {
			r.ErrorMessage = "the server stopped and ended the script; the next start has a launch of its own"
		}
		e.save(hard, r)
	}
	if r.Status != StatusInterrupted {
		e.ran.Add(1)
	}
	e.mu.Lock()
	e.unpruned++
	e.unprunedB += int64(len(r.Parameters) + len(r.Stdout.Text) + len(r.Stderr.Text))
	e.mu.Unlock()
	e.logEnd(r, time.Since(began))
}

// save marks r in the store and tries again while the store fails, until ctx
// ends: a run that cannot be recorded must neither start nor be forgotten.
func (e *Engine) save(ctx context.Context, r *Run) bool {
	var logged time.Time
	for {
		// The attempt itself is not cut off, so that a shutdown is recorded too.
		err := e.o.Store.Mark(context.WithoutCancel(ctx), r)
		if err == nil {
			return true
		}
		if logged.IsZero() || time.Since(logged) >= time.Minute {
			e.o.Log.Error("a trigger run could not be recorded; the queue waits until it can", "run", r.RunID, "event", r.Event, "error", err)
			logged = time.Now()
		}
		if !pause(ctx, e.retryAfter) {
			return false
		}
	}
}

// prune removes old records now and then: often enough to hold the bounds,
// seldom enough to cost nothing.
func (e *Engine) prune(ctx context.Context, idle bool) {
	e.mu.Lock()
	due := e.unpruned > 0 && idle || e.unpruned >= max(1, min(1000, e.o.Keep/10)) || e.unprunedB >= 16<<20
	if due {
		e.unpruned, e.unprunedB = 0, 0
	}
	e.mu.Unlock()
	if !due {
		return
	}
	if err := e.o.Store.Prune(context.WithoutCancel(ctx), e.o.Keep, maxKeptBytes); err != nil {
		e.o.Log.Error("old trigger runs could not be removed", "error", err)
	}
}

func (e *Engine) logStart(ctx context.Context, r *Run) {
	if !e.o.LogRuns {
		return
	}
	waiting, err := e.Waiting(ctx)
	if err != nil {
		waiting = -1
	}
	e.o.Log.Info("trigger started", "script", scriptPath(e.o.Dir, r.Event), "event", r.Event, "eventId", r.EventID,
		"run", r.RunID, "attempt", r.Attempt, "queue", waiting)
}

func (e *Engine) logEnd(r *Run, took time.Duration) {
	if !e.o.LogRuns {
		return
	}
	attrs := []any{"script", scriptPath(e.o.Dir, r.Event), "event", r.Event, "eventId", r.EventID,
		"run", r.RunID, "status", r.Status, "duration", took.Round(time.Microsecond)}
	if r.ExitCode != nil {
		attrs = append(attrs, "exitCode", *r.ExitCode)
	}
	if r.Signal != "" {
		attrs = append(attrs, "signal", r.Signal)
	}
	if r.ErrorMessage != "" {
		attrs = append(attrs, "error", r.ErrorMessage)
	}
	e.o.Log.Info("trigger ended", attrs...)
}

// pause waits d; false when ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
