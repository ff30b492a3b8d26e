package transfer

import (
	"fmt"
	"slices"

	"jetstream/internal/api"
	"jetstream/internal/stream"
	"jetstream/triggers"
)

// steps lists the permitted next states of each state. A state without an entry
// is final. The empty state is that of an object before it is made.
type steps map[Status][]Status

// The states of destinations.
const (
	absent  Status = ""
	present Status = "present"
)

var destinationSteps = steps{ //nolint:gochecknoglobals // a table that is never written
	absent:  {present},
	present: {absent},
}

var manifestSteps = steps{ //nolint:gochecknoglobals // a table that is never written
	"":            {StatusPending},
	StatusPending: {StatusComplete, StatusError},
}

// A transfer whose connection breaks goes from active back to pending.
var transferSteps = steps{ //nolint:gochecknoglobals // a table that is never written
	"":              {StatusPending},
	StatusPending:   {StatusActive, StatusSuspended, StatusCancelled, StatusError},
	StatusActive:    {StatusPending, StatusSuspended, StatusCancelled, StatusComplete, StatusError},
	StatusSuspended: {StatusPending, StatusCancelled, StatusError},
}

// cause is the API request that has caused a change.
type cause struct {
	requestID string
	depth     int
}

func causeOf(caller api.Caller) cause { return cause{caller.RequestID, caller.Depth} }

// object is an object with a state.
type object interface {
	// label is its name in messages, such as "transfer 0123"; id is its key for
	// watchers.
	label() string
	id() string
	state() Status
	steps() steps
	// enter sets the state and the fields that depend on it.
	enter(to Status, now api.Time)
	save(tx Tx) error
	// event returns the event of the step from a state to the present one; ok
	// is false if there is none.
	event(from Status, c cause) (ev triggers.Event, ok bool, err error)
	// appendEntry writes the entry about the step to the event log.
	appendEntry(tx Tx, log *stream.Log, from Status) error
}

// move changes the state of an object. No other function does. In the caller's
// transaction it saves the object, appends an entry to the event log and queues
// the event of the step; watchers are notified once that is on disk. Codes:
// conflict when the step is not permitted.
func (e *Engine) move(tx Tx, o object, to Status, c cause) error {
	from := o.state()
	if !slices.Contains(o.steps()[from], to) {
		return api.Errorf(api.CodeConflict, "%s is %s and cannot become %s", o.label(), from, to)
	}
	o.enter(to, api.Now())
	if err := o.save(tx); err != nil {
		return err
	}
	ev, ok, err := o.event(from, c)
	if err != nil {
		return err
	}
	if err := o.appendEntry(tx, e.o.Stream, from); err != nil {
		return err
	}
	if ok {
		if err := e.o.Emitter.Queue(tx, ev); err != nil {
			return fmt.Errorf("queue %s: %w", ev.Name, err)
		}
	}
	id := o.id()
	tx.AfterCommit(func() { e.watchers.notify(id) })
	return nil
}

type destinationObject struct {
	*Destination
	exists bool
}

func (o *destinationObject) label() string { return "destination " + o.DestinationID }
func (o *destinationObject) id() string    { return o.DestinationID }
func (o *destinationObject) steps() steps  { return destinationSteps }

func (o *destinationObject) state() Status {
	if o.exists {
		return present
	}
	return absent
}

func (o *destinationObject) enter(to Status, _ api.Time) { o.exists = to == present }

func (o *destinationObject) save(tx Tx) error {
	if !o.exists {
		return tx.DeleteDestination(o.DestinationID)
	}
	return tx.SaveDestination(o.Destination)
}

func (o *destinationObject) event(_ Status, c cause) (triggers.Event, bool, error) {
	kind := triggers.SendDestinationDeleted
	if o.exists {
		kind = triggers.SendDestinationCreated
	}
	ev, err := kind.Event(
		triggers.DestinationParams{Destination: o.Destination.Destination, Sender: o.Sender},
		triggers.Cause{User: o.Owner, RequestID: c.requestID, DestinationID: o.DestinationID, Key: o.DestinationID, Depth: c.depth})
	return ev, true, err
}

func (o *destinationObject) appendEntry(Tx, *stream.Log, Status) error { return nil }

type manifestObject struct{ *Manifest }

func (o manifestObject) label() string { return "manifest " + o.ManifestID }
func (o manifestObject) id() string    { return o.ManifestID }
func (o manifestObject) state() Status { return o.Status }
func (o manifestObject) steps() steps  { return manifestSteps }

func (o manifestObject) enter(to Status, now api.Time) {
	o.Status, o.Processing = to, to.Processing()
	if o.Processing {
		o.CreateTime = now
	} else {
		o.EndTime = now
	}
}

func (o manifestObject) save(tx Tx) error { return tx.SaveManifest(o.Manifest) }

func (o manifestObject) event(Status, cause) (triggers.Event, bool, error) {
	return triggers.Event{}, false, nil
}

func (o manifestObject) appendEntry(Tx, *stream.Log, Status) error { return nil }

type transferObject struct {
	*Transfer
	started bool // this step is the first that made it active
}

func (o *transferObject) label() string { return "transfer " + o.TransferID }
func (o *transferObject) id() string    { return o.TransferID }
func (o *transferObject) state() Status { return o.Status }
func (o *transferObject) steps() steps  { return transferSteps }

func (o *transferObject) enter(to Status, now api.Time) {
	if o.Status == "" {
		o.RequestTime = now
	}
	o.Status, o.Processing = to, to.Processing()
	if o.started = to == StatusActive && o.StartTime == 0; o.started {
		o.StartTime = now
	}
	if !o.Processing {
		o.EndTime = now
		o.SealedPassword = nil
		o.DeletingSources = o.DeleteSource
	}
}

func (o *transferObject) save(tx Tx) error { return tx.SaveTransfer(o.Transfer) }

func (o *transferObject) event(_ Status, c cause) (ev triggers.Event, ok bool, err error) {
	why := triggers.Cause{
		User: o.Owner, RequestID: c.requestID, TransferID: o.TransferID, DestinationID: o.DestinationID, Key: o.TransferID, Depth: c.depth,
	}
	params := triggers.TransferParams{TransferID: o.TransferID, Username: o.Username}
	switch {
	case o.started:
		ev, err = triggers.SendTransferStarted.Event(params, why)
	case o.Status == StatusComplete:
		ev, err = triggers.SendTransferComplete.Event(params, why)
	case !o.Processing:
		ev, err = triggers.SendTransferFailed.Event(FailureOf(o.TransferID, o.Username, o.Status, o.ErrorMessage), why)
	default:
		return ev, false, nil
	}
	return ev, true, err
}
