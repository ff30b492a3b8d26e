package triggers

import (
	"context"
	"sync"
)

// ahead is the run that goes next, fetched and prepared while a script runs,
// so that little is left to do between two scripts.
type ahead struct {
	run   *Run
	ready *ready // nil: not prepared
}

// aheadRuns is how many runs are fetched at a time.
const aheadRuns = 32

// lookAhead finds the run that goes next. It does so only where scripts run one
// at a time: what is queued later goes behind it there, but for a further
// attempt at the run that goes on now. A failure is met again, and told, when
// its turn has come.
func (e *Engine) lookAhead(c *current) {
	if e.o.Order != OrderGlobal || e.Paused() {
		return
	}
	if len(c.following) == 0 {
		var err error
		if c.following, err = e.o.Store.NextFew(c.ctx, aheadRuns); err != nil {
			c.following = nil
			return
		}
	}
	if len(c.following) == 0 {
		return
	}
	r := c.following[0]
	c.ahead, c.following = &ahead{run: r}, c.following[1:]
	if hasFileList(r.Event) { // it may be long, and take long
		return
	}
	p := &ready{}
	if err := e.prepare(c.ctx, r, p); err != nil {
		e.giveUp(r, p)
		c.ahead = nil
		return
	}
	c.ahead.ready = p
}

// endAndBegin records the end of c's run and, in the same transaction, the
// start of the run that goes next, if that is known and may start; it is
// returned then. What c's script read is removed meanwhile.
func (e *Engine) endAndBegin(ctx, hard context.Context, c *current) *current {
	if c.ahead == nil {
		e.giveUp(c.run, c.ready)
		e.save(hard, c.run)
		return nil
	}
	var removed sync.WaitGroup
	removed.Go(func() { e.giveUp(c.run, c.ready) })
	defer removed.Wait()
	saved := false
	next, err := e.tryBegin(ctx, hard, c.ahead.run, func(ctx context.Context, r *Run) (bool, error) {
		started, err := e.o.Store.EndAndStart(ctx, c.run, r)
		saved = err == nil
		return started, err
	})
	if next == nil { // paused, stopping, cancelled, or the database failed
		e.forgetAhead(c)
	}
	if !saved || err != nil {
		e.save(hard, c.run)
	}
	if next != nil {
		next.ready, next.following = c.ahead.ready, c.following
	}
	return next
}

// forgetAhead gives up what was prepared for the run behind c.
func (e *Engine) forgetAhead(c *current) {
	if c.ahead != nil {
		e.giveUp(c.ahead.run, c.ahead.ready)
		c.ahead = nil
	}
}
