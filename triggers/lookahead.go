package triggers

import (
	"context"
	"sync"
)

// upcoming is the next run. It is fetched and prepared while a script runs, so
// that little is left to do between two scripts.
type upcoming struct {
	run      *Run
	prepared *prepared // nil if not prepared
}

// lookAheadRuns is how many runs are fetched at once.
const lookAheadRuns = 32

// lookAhead fetches and prepares the next run, if scripts run one at a time:
// only then no run that is queued later can come before it, except a retry of
// the running one. Failures are ignored, since they occur again when the run is
// due.
func (e *Engine) lookAhead(c *current) {
	if e.o.Order != OrderGlobal || e.Paused() {
		return
	}
	if len(c.following) == 0 {
		var err error
		if c.following, err = e.o.Store.NextFew(c.ctx, lookAheadRuns); err != nil {
			c.following = nil
			return
		}
	}
	if len(c.following) == 0 {
		return
	}
	r := c.following[0]
	c.upcoming, c.following = &upcoming{run: r}, c.following[1:]
	if hasFileList(r.Event) { // which may take long to write
		return
	}
	p := &prepared{}
	if err := e.prepare(c.ctx, r, p); err != nil {
		e.discard(r, p)
		c.upcoming = nil
		return
	}
	c.upcoming.prepared = p
}

// endAndBegin records the end of c's run and, in the same transaction, the
// start of the upcoming one. It returns that, or nil if there is none or it may
// not start. Meanwhile it removes the spooled files of c.
func (e *Engine) endAndBegin(ctx, hard context.Context, c *current) *current {
	if c.upcoming == nil {
		e.discard(c.run, c.prepared)
		e.save(hard, c.run)
		return nil
	}
	var removed sync.WaitGroup
	removed.Go(func() { e.discard(c.run, c.prepared) })
	defer removed.Wait()
	saved := false
	next, err := e.tryBegin(ctx, hard, c.upcoming.run, func(ctx context.Context, r *Run) (bool, error) {
		started, err := e.o.Store.EndAndStart(ctx, c.run, r)
		saved = err == nil
		return started, err
	})
	if next == nil { // paused, stopping, cancelled, or the database failed
		e.dropUpcoming(c)
	}
	if !saved || err != nil {
		e.save(hard, c.run)
	}
	if next != nil {
		next.prepared, next.following = c.upcoming.prepared, c.following
	}
	return next
}

// dropUpcoming discards the upcoming run of c, which stays queued.
func (e *Engine) dropUpcoming(c *current) {
	if c.upcoming != nil {
		e.discard(c.upcoming.run, c.upcoming.prepared)
		c.upcoming = nil
	}
}
