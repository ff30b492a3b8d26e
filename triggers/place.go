package triggers

import (
	"errors"
	"time"
)

// placeError is a fault of the place where scripts run and not of the run: the
// queue waits until it is mended.
type placeError struct {
	err    error
	logged bool // by who found it
}

func (p *placeError) Error() string { return p.err.Error() }
func (p *placeError) Unwrap() error { return p.err }

// ofPlace reports whether an error is a fault of the place: a *placeError, or
// that there is no space, descriptor, memory or process left.
func ofPlace(err error) bool {
	_, ok := errors.AsType[*placeError](err)
	return ok || diskFull(err) || outOfResources(err)
}

// placeWait is something that waits for the place. Not safe for concurrent use.
type placeWait struct {
	e    *Engine
	what string // the run, or what else waits; unique
	log  throttle
}

// wait records why it waits, and waits a little. It returns when that time has
// passed or one of the channels was closed; the caller checks which.
func (w *placeWait) wait(why error, done ...<-chan struct{}) {
	w.e.mu.Lock()
	w.e.placeWaits[w.what] = why.Error()
	w.e.mu.Unlock()
	if p, ok := errors.AsType[*placeError](why); (!ok || !p.logged) && w.log.due() {
		w.e.o.Log.Error("the trigger queue waits", "waiting", w.what, "error", why)
	}
	timer := time.NewTimer(w.e.retryAfter)
	defer timer.Stop()
	first, second := done[0], done[len(done)-1]
	select {
	case <-first:
	case <-second:
	case <-timer.C:
	}
}

// end is called when it no longer waits.
func (w *placeWait) end() {
	w.e.mu.Lock()
	delete(w.e.placeWaits, w.what)
	w.e.mu.Unlock()
}
