package triggers

import (
	"context"
	"errors"
	"sync"
	"time"

	"jetstream/internal/api"
)

// The causes with which running scripts are ended, besides *cancelled.
var (
	errShutdown = errors.New("the server stopped")
	errTimeout  = errors.New("the time limit was reached")
)

// Serve executes the queue until ctx ends. First it ends what another process
// of the server has left running, and queues it again. After ctx has ended,
// running scripts may finish within ShutdownGrace; those that do not are ended.
// Serve returns when all its goroutines have. It must be called once.
func (e *Engine) Serve(ctx context.Context) error {
	// hard ends ShutdownGrace after ctx, and with it all running scripts.
	hard, end := context.WithCancelCause(context.WithoutCancel(ctx))
	e.background.Go(func() { e.reapAdopted(hard) })
	e.background.Go(func() { e.scripts.watch(hard) })
	e.background.Go(func() {
		select {
		case <-ctx.Done():
			e.mu.Lock()
			e.stopped = time.Now()
			e.mu.Unlock()
			pause(hard, max(e.limits.Load().ShutdownGrace, 0))
			end(errShutdown)
		case <-hard.Done():
		}
	})
	err := e.recoverQueueOrWait(ctx, hard)
	if err == nil {
		if e.o.Dir != "" {
			e.dispatch(ctx, hard)
		}
		<-ctx.Done()
	}
	end(errShutdown) // ends the draining of pipes as well
	e.background.Wait()
	return err
}

// recoverQueueOrWait is recoverQueue, but it retries while there is a fault of
// the place or the database is unavailable.
func (e *Engine) recoverQueueOrWait(ctx, hard context.Context) error {
	w := placeWait{e: e, what: "what a former process left"}
	defer w.end()
	for ctx.Err() == nil {
		err := e.recoverQueue(ctx, hard)
		if err == nil {
			return nil
		}
		if !ofPlace(err) && !errors.Is(err, &api.Error{Code: api.CodeUnavailable}) {
			return err
		}
		w.wait(err, ctx.Done())
	}
	return nil
}

// recoverQueue cleans up after another process of the server: it ends its
// scripts, queues their runs again before all others, and drops its launch
// runs. It may be called again after an error.
func (e *Engine) recoverQueue(ctx, hard context.Context) error {
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
		switch {
		case r.ErrorMessage != "": // of CancelRunning
			r.Status = StatusCancelled
			err = e.o.Store.Mark(hard, r)
		case r.Event == Launch.Name && r.Process != e.o.ProcessID:
			r.Status, r.ErrorMessage = StatusCancelled, droppedLaunch
			r.lose(false, 0)
			e.lostLaunches = max(e.lostLaunches, r.Lost)
			err = e.o.Store.Mark(hard, r)
		default:
			r.Status = StatusInterrupted
			r.ErrorMessage = "the server ended while the script ran; it runs again"
			if r.lose(false, 0) {
				err = e.o.Store.Mark(hard, r)
				break
			}
			again := e.retryOf(r)
			if err = e.o.Store.Interrupt(hard, r, again); err == nil {
				e.waiting.Add(1)
				e.payloads.add(again)
			}
		}
		if err != nil {
			return api.Wrap(err, api.CodeInternal, "the run that was interrupted could not be queued again")
		}
	}
	n, lost, err := e.o.Store.DropLaunches(hard, e.o.ProcessID, droppedLaunch)
	if err != nil {
		return api.Wrap(err, api.CodeInternal, "launch runs of a former process could not be dropped")
	}
	e.waiting.Add(int64(-n))
	e.lostLaunches = max(e.lostLaunches, lost)
	if err := e.countLaunches(hard); err != nil {
		return api.Wrap(err, api.CodeInternal, "the attempts at the launch script could not be counted")
	}
	if e.o.Dir == "" {
		return nil
	}
	if err := e.o.Store.UseLanes(hard, e.o.Order == OrderKey); err != nil {
		return api.Wrap(err, api.CodeInternal, "the trigger queue could not be put into its order")
	}
	return e.emptySpool()
}

const droppedLaunch = "dropped: this launch belongs to a former process of the server"

// prune removes old records if enough runs have ended since the last time, or
// any if idle.
func (e *Engine) prune(ctx context.Context, idle bool) {
	e.mu.Lock()
	due := e.unpruned > 0 && idle || e.unpruned >= max(1, min(1000, e.limits.Load().Keep/10)) || e.unprunedB >= 16<<20
	if due {
		e.unpruned, e.unprunedB = 0, 0
	}
	e.mu.Unlock()
	if !due {
		return
	}
	if err := e.o.Store.Prune(context.WithoutCancel(ctx), e.limits.Load().Keep, maxKeptBytes); err != nil {
		e.o.Log.Error("old trigger runs could not be removed", "error", err)
	}
}

func (e *Engine) logStart(r *Run) {
	if !e.o.LogRuns {
		return
	}
	e.o.Log.Info("trigger started", "script", e.scriptPath(r.Event), "event", r.Event, "eventId", r.EventID,
		"run", r.RunID, "attempt", r.Attempt, "queue", e.waiting.Load())
}

func (e *Engine) logEnd(r *Run, took time.Duration) {
	if !e.o.LogRuns {
		return
	}
	attrs := []any{"script", e.scriptPath(r.Event), "event", r.Event, "eventId", r.EventID,
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

// pause waits d; it returns false if ctx has ended before.
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
