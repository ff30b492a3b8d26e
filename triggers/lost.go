package triggers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"jetstream/internal/api"
)

const (
	// maxLost is after how many lost attempts in a row an event is given up, so
	// that a script that takes the server down cannot do it for ever. It stands
	// in queries of the store as well.
	maxLost = 5
	// lostWithin is how soon after the start of a script a clean stop of the
	// server counts as well: the script may have asked for it.
	lostWithin = time.Minute
)

// lose counts an interrupted attempt. clean is whether the server was stopped,
// and not killed; ran is how long the script had run when the stop began. It reports whether
// the event is given up; r is a failed run then.
func (r *Run) lose(clean bool, ran time.Duration) (givenUp bool) {
	if clean && ran >= lostWithin {
		r.Lost = 0
		return false
	}
	r.Lost++
	if r.Lost < maxLost {
		return false
	}
	r.Status = StatusFailed
	r.ErrorMessage = fmt.Sprintf("the server ended during %d attempts in a row, so that the script is not started again by itself; "+
		"see whether it stops the server, then retry the run", r.Lost)
	return true
}

// countLaunches lets the launch of this process go on counting where those of
// former processes were lost: each start has an event of its own, of which only
// the script is the same. Where one was given up and not retried, it fails.
func (e *Engine) countLaunches(ctx context.Context) error {
	givenUp, err := e.o.Store.GivenUp(ctx)
	if err != nil {
		return err
	}
	former := slices.IndexFunc(givenUp, func(r *Run) bool { return r.Event == Launch.Name })
	if e.lostLaunches == 0 && former < 0 {
		return nil
	}
	launches, _, err := e.o.Store.Runs(ctx, Filter{Event: Launch.Name, Status: StatusQueued, Limit: 10})
	if err != nil {
		return err
	}
	for i := range launches {
		r := &launches[i]
		if r.Attempt > 1 || r.Sample || r.Process != e.o.ProcessID {
			continue
		}
		if r.Lost = e.lostLaunches; former >= 0 {
			r.Status, r.EndTime, r.Lost = StatusFailed, api.Now(), 0
			r.ErrorMessage = "not started, as the server ended during several launch scripts in a row; retry run " + givenUp[former].RunID + " once the script is mended"
			e.waiting.Add(-1)
		}
		if err := e.o.Store.Mark(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// untilStop returns how long c had run when Serve was told to end. The time
// within ShutdownGrace is not part of it: a script that asks for a stop and
// waits may be given more than lostWithin.
func (e *Engine) untilStop(c *current) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopped.Sub(c.since)
}
