package triggers

import (
	"context"
	"errors"
	"sync"
	"time"

	"jetstream/internal/api"
)

// errShutdown and errTimeout are the causes that end a running script.
var (
	errShutdown = errors.New("the server stopped")
	errTimeout  = errors.New("the time limit was reached")
)

// Serve runs the queue until ctx ends; then it lets the running scripts finish
// within ShutdownGrace, ends those that do not, and returns when all its
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
	err := e.takeOverInRoom(ctx, hard)
	if err == nil {
		if e.o.Dir != "" {
			e.dispatch(ctx, hard)
		}
		<-ctx.Done()
	}
	end(errShutdown) // also the sign for drainers of leftover pipes
	e.background.Wait()
	return err
}

// takeOverInRoom is takeOver, but where the database or the spool takes nothing,
// as on a full disk, the queue waits until it does: the server goes on.
func (e *Engine) takeOverInRoom(ctx, hard context.Context) error {
	var log throttle
	waits := roomWait{e: e}
	defer waits.end()
	for {
		err := e.takeOver(ctx, hard)
		if err == nil {
			return nil
		}
		if !diskFull(err) && !errors.Is(err, &api.Error{Code: api.CodeUnavailable}) {
			return err
		}
		waits.begin()
		if log.due() {
			e.o.Log.Error("the trigger queue waits until what a former process left can be put into order", "error", err)
		}
		if !pause(ctx, e.retryAfter) {
			return nil
		}
	}
}

// takeOver brings the queue into order after a former process: its orphans are
// ended, their runs queued again before all others, its launches dropped. When
// it has failed it can be called again.
func (e *Engine) takeOver(ctx, hard context.Context) error {
	running, err := e.o.Store.Running(hard)
	if err != nil {
		return errUnread(err)
	}
	var orphans sync.WaitGroup
	for _, r := range running {
		orphans.Go(func() { e.endOrphan(ctx, r) })
	}
	orphans.Wait()
	for _, r := range running {
		r.EndTime, r.PID, r.PIDStart = api.Now(), 0, 0
		if r.Event == Launch.Name && r.Process != e.o.ProcessID {
			r.Status, r.ErrorMessage = StatusCancelled, droppedLaunch
			err = e.o.Store.Mark(hard, r)
		} else {
			r.Status = StatusInterrupted
			r.ErrorMessage = "the server ended while the script ran; it runs again"
			err = e.o.Store.Interrupt(hard, r, e.again(r))
			e.waiting.Add(1)
		}
		if err != nil {
			return api.Wrap(err, api.CodeInternal, "the run that was interrupted could not be queued again")
		}
	}
	n, err := e.o.Store.DropLaunches(hard, e.o.ProcessID, droppedLaunch)
	if err != nil {
		return api.Wrap(err, api.CodeInternal, "launch runs of a former process could not be dropped")
	}
	e.waiting.Add(int64(-n))
	if e.o.Dir == "" {
		return nil
	}
	if err := e.o.Store.UseLanes(hard, e.o.Order == OrderKey); err != nil {
		return api.Wrap(err, api.CodeInternal, "the trigger queue could not be put into its order")
	}
	return e.emptySpool()
}

const droppedLaunch = "dropped: this launch belongs to a former process of the server"

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

func (e *Engine) logStart(r *Run) {
	if !e.o.LogRuns {
		return
	}
	e.o.Log.Info("trigger started", "script", scriptPath(e.o.Dir, r.Event), "event", r.Event, "eventId", r.EventID,
		"run", r.RunID, "attempt", r.Attempt, "queue", e.waiting.Load())
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
