package triggers

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jetstream/internal/api"
)

// MaxDepth is the maximum length of a chain of scripts that call the API. on.*
// events of a caller with this depth are dropped.
const MaxDepth = 8

// DropReason is the reason why an event with a script was dropped.
type DropReason string

// The reasons.
const (
	DropLoop    DropReason = "loop"    // MaxDepth: scripts call the API, which runs scripts
	DropFull    DropReason = "full"    // QueueMax runs or QueueBytes of payloads wait
	DropUnsaved DropReason = "unsaved" // the database could not save it
)

// Queue appends the event to the event log and queues a run of its script, if
// there is one, in the caller's transaction. The script runs some time after
// the commit. An error must fail the transaction.
func (e *Engine) Queue(tx Tx, ev Event) error {
	if e.hasEntry(ev) {
		if err := e.appendEntry(tx, ev); err != nil {
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

// Emit is Queue in a transaction of its own. When it returns nil the event is
// on disk and its script will run, or the event was dropped: an on.* event
// beyond MaxDepth, QueueMax or QueueBytes. Dropped events are counted and logged, as are
// those that could not be saved. Emit does not stop when ctx ends.
func (e *Engine) Emit(ctx context.Context, ev Event) error {
	_, err := e.emit(ctx, ev, e.hasScript(ev), e.hasEntry(ev))
	return ifUnsaved(err)
}

// ifUnsaved returns err, but nil for an event that was dropped for another
// reason than that it could not be saved.
func ifUnsaved(err error) error {
	if d, ok := errors.AsType[*droppedError](err); ok && d.reason != DropUnsaved {
		return nil
	}
	return err
}

// EmitWanted is Emit of an event that it makes by calling event, only if the
// event has a script or an entry in the event log.
func (e *Engine) EmitWanted(ctx context.Context, d Definition, event func() Event) error {
	ev := Event{Definition: d}
	wanted, entry := e.hasScript(ev), e.hasEntry(ev)
	if !wanted && !entry {
		return nil
	}
	_, err := e.emit(ctx, event(), wanted, entry)
	return ifUnsaved(err)
}

// EmitNow is Emit for a caller who wants this run. Codes: notFound when there
// is no script; conflict beyond MaxDepth, unavailable beyond QueueMax and while
// the trigger directory cannot be read.
func (e *Engine) EmitNow(ctx context.Context, ev Event) (Run, error) {
	if e.o.Dir == "" {
		return Run{}, errNoTriggers()
	}
	switch name, err := e.scripts.find(ev.Name); {
	case err != nil:
		return Run{}, api.Wrap(err, api.CodeUnavailable, "%s; no event is emitted until it can", err)
	case name == "":
		return Run{}, api.Errorf(api.CodeNotFound, "event %s has no script: there is no %s", ev.Name, e.scriptPath(ev.Name))
	}
	r, err := e.emit(ctx, ev, true, false)
	d, ok := errors.AsType[*droppedError](err)
	switch {
	case ok && d.reason == DropLoop:
		return Run{}, api.Errorf(api.CodeConflict, "event %s was dropped: scripts emit events, which run scripts, %d deep; end the loop", ev.Name, MaxDepth)
	case ok && d.reason == DropFull:
		return Run{}, api.Errorf(api.CodeUnavailable, "event %s was dropped: the queue is at its bound (--trigger-queue-max %d runs, --trigger-queue-bytes %d, half of it for one user); find out what holds it up", ev.Name, e.limits.Load().QueueMax, e.limits.Load().QueueBytes)
	case err != nil:
		return Run{}, err
	}
	return *r, nil
}

// droppedError reports that an event was dropped.
type droppedError struct {
	reason DropReason
	err    error
}

func (d *droppedError) Error() string { return "dropped: " + string(d.reason) }
func (d *droppedError) Unwrap() error { return d.err }

// emit queues a run, which it returns, if wanted, and appends an entry to the
// event log if entry.
func (e *Engine) emit(ctx context.Context, ev Event, wanted, entry bool) (made *Run, err error) {
	if !wanted && !entry {
		return nil, nil
	}
	bounded := wanted && strings.HasPrefix(ev.Name, commandPrefix)
	switch {
	case bounded && tooDeep(ev):
		e.dropped(DropLoop, ev, nil)
		return nil, &droppedError{reason: DropLoop}
	case bounded && !e.reserve(ev):
		e.dropped(DropFull, ev, nil)
		return nil, &droppedError{reason: DropFull}
	}
	if wanted {
		made = e.newRun(ev)
		made.describe() // outside of the transaction, which is exclusive
	}
	err = e.o.Store.Update(context.WithoutCancel(ctx), func(tx Tx) error {
		if entry {
			if err := e.appendEntry(tx, ev); err != nil {
				return err
			}
		}
		if !wanted {
			return nil
		}
		api.Announce(ctx, *made)
		return e.insert(tx, made, bounded)
	})
	if err == nil {
		e.saveFailing.Store(false)
		return made, nil
	}
	if bounded {
		e.waiting.Add(-1)
		e.payloads.release(ev.Cause.User, int64(len(ev.Parameters)))
	}
	e.saveFailing.Store(true)
	if wanted {
		e.dropped(DropUnsaved, ev, err)
	}
	return nil, errUnsaved(&droppedError{DropUnsaved, err}, "event "+ev.Name)
}

// reserve counts an on.* event as waiting, unless the queue is full.
func (e *Engine) reserve(ev Event) bool {
	if e.waiting.Add(1) <= int64(e.limits.Load().QueueMax) && e.payloads.reserve(ev.Cause.User, int64(len(ev.Parameters)), e.limits.Load().QueueBytes) {
		return true
	}
	e.waiting.Add(-1)
	return false
}

// errUnsaved returns the error that what could not be saved, with the reason if
// the store has one for users.
func errUnsaved(err error, what string) error {
	if why, ok := errors.AsType[*api.Error](err); ok {
		return api.Wrap(err, why.Code, "%s could not be saved: %s", what, why.Message)
	}
	return api.Wrap(err, api.CodeInternal, "%s could not be saved", what)
}

// hasScript reports whether a run is to be queued for the event. It is only
// checked at its run whether the script can be executed.
func (e *Engine) hasScript(ev Event) bool { return e.scripts.wanted(ev.Name) }

// scriptPath returns the path that the script of an event has or would have.
func (e *Engine) scriptPath(event string) string {
	name, err := e.scripts.find(event)
	if err != nil || name == "" {
		name = fileNames(event)[0]
	}
	return filepath.Join(e.o.Dir, name)
}

// tooDeep reports whether the event is beyond MaxDepth.
func tooDeep(ev Event) bool {
	return ev.Cause.Depth >= MaxDepth && strings.HasPrefix(ev.Name, commandPrefix)
}

// drop counts the events that were dropped for one reason.
type drop struct {
	total, unlogged int64
	last            time.Time
	log             throttle
}

// dropped counts a dropped event and logs it, at most once a minute per reason.
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
		bytes, ofUser := e.payloads.sums(ev.Cause.User)
		e.o.Log.Error("event dropped: the trigger queue is at its bound; find out what holds it up, or raise --trigger-queue-max or --trigger-queue-bytes",
			append(attrs, "waiting", e.waiting.Load(), "waitingBytes", bytes, "ofThisUser", ofUser, "size", len(ev.Parameters))...)
	case DropUnsaved:
		e.o.Log.Error("event dropped: it could not be saved", append(attrs, "requestId", ev.Cause.RequestID, "error", cause)...)
	}
}

// newRun returns the first run of an event.
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
		Depth: ev.Cause.Depth + 1, Subject: ev.Cause.Subject, Key: ev.Cause.Key, Process: e.o.ProcessID, Sample: ev.Sample,
	}
}

// insert queues a run. counted reports whether waiting includes it already.
func (e *Engine) insert(tx Tx, r *Run, counted bool) error {
	if err := tx.InsertRun(r); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		if !counted {
			e.waiting.Add(1)
			e.payloads.add(r)
		}
		e.wakeDispatcher()
	})
	return nil
}

// wakeDispatcher tells the dispatcher that a run may be due.
func (e *Engine) wakeDispatcher() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// retryOf returns the next attempt for the event of a run that was interrupted.
// It comes before all waiting runs.
func (e *Engine) retryOf(r *Run) *Run {
	return &Run{
		RunID: api.NewID(), Event: r.Event, EventID: r.EventID, Attempt: r.Attempt + 1, Status: StatusQueued,
		Parameters: slices.Clone(r.Parameters), EventTime: r.EventTime, QueueTime: api.Now(),
		RequestID: r.RequestID, User: r.User, TransferID: r.TransferID, Depth: r.Depth,
		Subject: r.Subject, Key: r.Key, Process: r.Process, Sample: r.Sample, Lost: r.Lost, Urgent: urgency(r),
	}
}

// urgency returns the Urgent of a retry of r, so that retries keep the order of
// the interrupted runs and come before all other runs.
func urgency(r *Run) int64 {
	if r.Urgent > 0 {
		return r.Urgent
	}
	return math.MaxInt64/2 - r.Seq
}
