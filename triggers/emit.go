package triggers

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"jetstream/internal/api"
)

// MaxDepth is how long a chain of scripts that call the API may get: at this
// depth of the caller, on.* events are dropped.
const MaxDepth = 8

// DropReason says why an event with a script got no run.
type DropReason string

// The reasons.
const (
	DropLoop    DropReason = "loop"    // scripts call the API, which runs scripts, too deep
	DropFull    DropReason = "full"    // the queue is at its bound
	DropUnsaved DropReason = "unsaved" // the database did not take it
)

// Queue writes the event into the log and saves a run of its script, if such a
// script is there now, within the caller's transaction. The run begins some
// time after the commit. An error must fail the transaction.
func (e *Engine) Queue(tx Tx, ev Event) error {
	if e.logged(ev) {
		if err := e.note(tx, ev); err != nil {
			return err
		}
	}
	if !e.hasScript(ev) {
		return nil
	}
	if tooDeep(ev) {
		e.dropped(DropLoop, ev, nil)
		return nil
	}
	return e.insert(tx, e.newRun(ev), false)
}

// Emit is Queue in a transaction of its own: when it returns nil, the event is
// on disk and its script will run, or it was dropped, which has been counted
// and logged: an on.* event of a loop, or beyond QueueMax. One that could not
// be saved counts as dropped as well. The end of ctx does not stop it: what
// happened has happened.
func (e *Engine) Emit(ctx context.Context, ev Event) error {
	_, err := e.emit(ctx, ev, e.hasScript(ev), e.logged(ev))
	return unlessBounded(err)
}

// unlessBounded is err, but nil where it says that an event was dropped as it
// should be, and not that it could not be saved.
func unlessBounded(err error) error {
	if d, ok := errors.AsType[*droppedError](err); ok && d.reason != DropUnsaved {
		return nil
	}
	return err
}

// EmitWanted is Emit of an event that is made only if something of such events
// is saved now, so that one need not be made for nobody.
func (e *Engine) EmitWanted(ctx context.Context, d Definition, event func() Event) error {
	ev := Event{Definition: d}
	wanted, logged := e.hasScript(ev), e.logged(ev)
	if !wanted && !logged {
		return nil
	}
	_, err := e.emit(ctx, event(), wanted, logged)
	return unlessBounded(err)
}

// EmitNow is Emit for somebody who asks for just this run. Codes: notFound
// when there is no script; conflict when a loop, unavailable when the queue's
// bound drops it.
func (e *Engine) EmitNow(ctx context.Context, ev Event) (Run, error) {
	if e.o.Dir == "" {
		return Run{}, errNoTriggers()
	}
	if !e.hasScript(ev) {
		return Run{}, api.Errorf(api.CodeNotFound, "event %s has no script: there is no %s", ev.Name, scriptPath(e.o.Dir, ev.Name))
	}
	r, err := e.emit(ctx, ev, true, false)
	d, ok := errors.AsType[*droppedError](err)
	switch {
	case ok && d.reason == DropLoop:
		return Run{}, api.Errorf(api.CodeConflict, "event %s was dropped: scripts emit events, which run scripts, %d deep; end the loop", ev.Name, MaxDepth)
	case ok && d.reason == DropFull:
		return Run{}, api.Errorf(api.CodeUnavailable, "event %s was dropped: %d runs wait, which is the bound (--trigger-queue-max); find out what holds up the queue", ev.Name, e.o.QueueMax)
	case err != nil:
		return Run{}, err
	}
	return *r, nil
}

// droppedError tells that an event got no run.
type droppedError struct {
	reason DropReason
	err    error
}

func (d *droppedError) Error() string { return "dropped: " + string(d.reason) }
func (d *droppedError) Unwrap() error { return d.err }

// emit saves a run where one is wanted, which it returns, and an entry in the
// log where the event is logged.
func (e *Engine) emit(ctx context.Context, ev Event, wanted, logged bool) (made *Run, err error) {
	if !wanted && !logged {
		return nil, nil
	}
	bounded := wanted && strings.HasPrefix(ev.Name, commandPrefix)
	switch {
	case bounded && tooDeep(ev):
		e.dropped(DropLoop, ev, nil)
		return nil, &droppedError{reason: DropLoop}
	case bounded && e.waiting.Add(1) > int64(e.o.QueueMax):
		e.waiting.Add(-1)
		e.dropped(DropFull, ev, nil)
		return nil, &droppedError{reason: DropFull}
	}
	if wanted {
		made = e.newRun(ev)
		made.describe() // before all who emit wait for each other
	}
	err = e.o.Store.Update(context.WithoutCancel(ctx), func(tx Tx) error {
		if logged {
			if err := e.note(tx, ev); err != nil {
				return err
			}
		}
		if !wanted {
			return nil
		}
		return e.insert(tx, made, bounded)
	})
	if err == nil {
		e.saveFailing.Store(false)
		return made, nil
	}
	if bounded {
		e.waiting.Add(-1)
	}
	e.saveFailing.Store(true)
	if wanted {
		e.dropped(DropUnsaved, ev, err)
	}
	return nil, errUnsaved(&droppedError{DropUnsaved, err}, "event "+ev.Name)
}

// errUnsaved tells what could not be saved and, where the store says it to
// people, why.
func errUnsaved(err error, what string) error {
	if why, ok := errors.AsType[*api.Error](err); ok {
		return api.Wrap(err, why.Code, "%s could not be saved: %s", what, why.Message)
	}
	return api.Wrap(err, api.CodeInternal, "%s could not be saved", what)
}

// hasScript tells whether anything of the event's name is in the trigger
// directory; whether it can be run is seen when its turn comes.
func (e *Engine) hasScript(ev Event) bool { return e.o.Dir != "" && scriptExists(e.o.Dir, ev.Name) }

// tooDeep tells whether the event is the far end of a loop.
func tooDeep(ev Event) bool {
	return ev.Cause.Depth >= MaxDepth && strings.HasPrefix(ev.Name, commandPrefix)
}

// drop is what was dropped for one reason.
type drop struct {
	total, unlogged int64
	last            time.Time
	log             throttle
}

// dropped counts an event that gets no run and says so, at most once a minute:
// a script in a loop must not fill the log either.
func (e *Engine) dropped(reason DropReason, ev Event, cause error) {
	e.mu.Lock()
	d := e.drops[reason]
	if d == nil {
		d = &drop{}
		e.drops[reason] = d
	}
	d.total++
	d.unlogged++
	d.last = time.Now()
	n, due := d.unlogged, d.log.due()
	if due {
		d.unlogged = 0
	}
	e.mu.Unlock()
	if !due {
		return
	}
	attrs := []any{"event", ev.Name, "user", ev.Cause.User, "dropped", n}
	switch reason {
	case DropLoop:
		e.o.Log.Warn("event dropped: scripts call the API, which runs scripts, too deep; end the loop", append(attrs, "depth", ev.Cause.Depth)...)
	case DropFull:
		e.o.Log.Error("event dropped: the trigger queue is at its bound; find out what holds it up, or raise --trigger-queue-max", append(attrs, "waiting", e.waiting.Load())...)
	case DropUnsaved:
		e.o.Log.Error("event dropped: it could not be saved", append(attrs, "requestId", ev.Cause.RequestID, "error", cause)...)
	}
}

// newRun is the event's first run.
func (e *Engine) newRun(ev Event) *Run {
	now := api.Now()
	parameters := ev.Parameters
	if len(parameters) == 0 {
		parameters = json.RawMessage(`{}`)
	}
	return &Run{
		RunID: api.NewID(), Event: ev.Name, EventID: api.NewID(), Attempt: 1, Status: StatusQueued,
		Parameters: parameters, EventTime: now, QueueTime: now,
		RequestID: ev.Cause.RequestID, User: ev.Cause.User, TransferID: ev.Cause.TransferID,
		Depth: ev.Cause.Depth + 1, Subject: ev.Cause.Subject, Key: ev.Cause.Key, Process: e.o.ProcessID,
	}
}

// insert saves a run to be carried out. counted tells that waiting has it
// already.
func (e *Engine) insert(tx Tx, r *Run, counted bool) error {
	if err := tx.InsertRun(r); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		if !counted {
			e.waiting.Add(1)
		}
		e.notice()
	})
	return nil
}

// notice wakes the runner.
func (e *Engine) notice() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// again is the next attempt at the event of a run that did not come to its end;
// it goes before what waits.
func (e *Engine) again(r *Run) *Run {
	return &Run{
		RunID: api.NewID(), Event: r.Event, EventID: r.EventID, Attempt: r.Attempt + 1, Status: StatusQueued,
		Parameters: slices.Clone(r.Parameters), EventTime: r.EventTime, QueueTime: api.Now(),
		RequestID: r.RequestID, User: r.User, TransferID: r.TransferID, Depth: r.Depth,
		Subject: r.Subject, Key: r.Key, Process: r.Process, Urgent: urgency(r),
	}
}

// urgency keeps a further attempt at the place that r had: before all that
// waited behind r, behind what was interrupted and had begun before r.
func urgency(r *Run) int64 {
	if r.Urgent > 0 {
		return r.Urgent
	}
	return math.MaxInt64/2 - r.Seq
}
