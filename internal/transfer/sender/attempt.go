package sender

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/pace"
	"jetstream/internal/transfer/wire"
)

// errStopped reports that the transfer was cancelled, suspended or deleted
// meanwhile.
var errStopped = errors.New("the transfer was stopped")

// saveTimeout bounds the save of the result of an attempt.
const saveTimeout = 5 * time.Second

// entitledEvery is how often the owner of a running transfer is checked.
const entitledEvery = 2 * time.Second

// attempt is one attempt to send a transfer. It is for one goroutine, but for
// dialLane, and once the transfer is being streamed for its lanes.
type attempt struct {
	s          *Sender
	to         string // address and port of the receiver
	t          transfer.Transfer
	meter      pace.Meter
	limit      *pace.Limiter // of all transfers to the destination
	turn       *turn
	limiters   []*pace.Limiter // limit, and that of the server if there is one
	link       link
	connection *connection
	confirmed  int64 // bytes that the receiver has confirmed
	progressed bool
	connected  bool
	saved      atomic.Int64 // bytes that compression has kept off the network in this attempt
	first      bool         // nothing was sent before
	resumed    bool         // the receiver has said where to go on
	// partial is how many bytes the receiver had of a file that may have grown.
	partial int64
	mirror  *transfer.MirrorSource // nil: nothing is to be removed
	removed int64                  // what the receiver has removed
	grown   atomic.Int64           // by how many bytes the files are larger than in the manifest
}

func (s *Sender) attempt(ctx context.Context, t transfer.Transfer) (r result) {
	a := &attempt{s: s, t: t, to: net.JoinHostPort(t.DestinationAddress, strconv.Itoa(t.DestinationPort))}
	shared := s.limits.take(t.DestinationID)
	a.limit, a.turn = &shared.Limiter, &turn{of: &shared.turns, priority: t.Priority}
	a.limiters = []*pace.Limiter{a.limit}
	if s.o.Outgoing != nil {
		a.limiters = append(a.limiters, s.o.Outgoing)
	}
	defer s.limits.release(t.DestinationID)
	a.connection = s.connections.add(a)
	defer s.connections.remove(a.connection)
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic while sending", "transferId", t.TransferID, "panic", p, "stack", string(debug.Stack()))
			r = result{id: t.TransferID, retry: true}
		}
	}()
	var err error
	if t.Processing {
		err = a.run(ctx)
	} else {
		err = a.notifyReceiver(ctx)
	}
	r = result{id: t.TransferID, progressed: a.progressed, unreachable: !a.connected}
	r.retry = a.saveResult(ctx, err)
	if l, ok := errors.AsType[*retryLater](err); ok {
		r.after = l.after
	}
	return r
}

// saveResult saves the result of the attempt and reports whether there must be
// another one.
func (a *attempt) saveResult(ctx context.Context, err error) (retry bool) {
	if err == nil || errors.Is(err, errStopped) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	log := a.s.log.With("transferId", a.t.TransferID, "receiver", a.to)
	end, ended := errors.AsType[*finalError](err)
	if !a.t.Processing {
		log.Debug("a receiver could not be notified of the end of a transfer", "error", err)
		return true
	}
	message := a.waitMessage(err)
	if ended {
		message = end.message
		log.Warn("a transfer ended", "status", string(end.status), "error", err)
	} else {
		// There may be attempts for days: only a new reason is worth a line.
		level := slog.LevelInfo
		if message == a.t.ErrorMessage {
			level = slog.LevelDebug
		}
		log.Log(ctx, level, "a transfer waits", "error", err)
	}
	_, err = a.s.o.Engine.Change(ctx, a.t.TransferID, func(t *transfer.Transfer) error {
		if !t.Processing || t.Status == transfer.StatusSuspended {
			return errStopped
		}
		if ended {
			t.Status, t.TellPeer = end.status, end.notify && len(t.Ticket) > 0
		} else {
			t.Status = transfer.StatusPending
		}
		t.ErrorMessage, t.RemovedFiles = message, max(t.RemovedFiles, a.removed)
		return nil
	})
	switch {
	case err == nil:
		return !ended
	case errors.Is(err, errStopped) || errors.Is(err, &api.Error{Code: api.CodeNotFound}):
		return false
	}
	log.Error("the state of a transfer could not be saved", "error", err)
	return true
}

// waitMessage returns the message of a transfer that waits after err.
func (a *attempt) waitMessage(err error) string {
	if l, ok := errors.AsType[*retryLater](err); ok {
		return l.message
	}
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e.Message + "; trying again"
	}
	if !a.connected {
		return fmt.Sprintf("%s cannot be reached: %s; trying again", a.to, reason(err))
	}
	return fmt.Sprintf("the connection to %s was lost: %s; trying again", a.to, reason(err))
}

func reason(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "this server stopped"
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the other end closed it"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "what answers there is no receive port of a JetStream server"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Err != nil {
		return wire.Clean(e.Err.Error())
	}
	return wire.Clean(err.Error())
}

// run sends the transfer. If it returns nil the transfer has ended and is
// saved.
func (a *attempt) run(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	id := a.t.TransferID
	changes, stop := a.s.o.Engine.Watch(id)
	defer stop()
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		a.watch(ctx, id, changes, cancel)
	}()
	following := make(chan struct{})
	go func() {
		defer close(following)
		a.s.followRate(ctx, a.t.DestinationID, a.limit)
	}()
	defer func() { cancel(nil); <-watching; <-following }()

	err := a.send(parent, ctx)
	why := context.Cause(ctx)
	_, ended := errors.AsType[*finalError](why)
	switch {
	case err == nil:
	case ended, errors.Is(why, errStopped):
		return why
	case parent.Err() != nil:
		return parent.Err()
	}
	return err
}

// watch ends ctx when the transfer is stopped or its owner is removed or
// disabled, and follows its priority.
func (a *attempt) watch(ctx context.Context, id string, changes <-chan struct{}, cancel context.CancelCauseFunc) {
	s := a.s
	check := time.NewTicker(entitledEvery)
	defer check.Stop()
	for {
		t, err := s.o.Engine.LoadTransfer(ctx, id)
		gone := errors.Is(err, &api.Error{Code: api.CodeNotFound})
		if gone || err == nil && (!t.Processing || t.Status == transfer.StatusSuspended) {
			cancel(errStopped)
			return
		}
		if err == nil {
			a.turn.setPriority(t.Priority)
			err = s.o.Engine.Entitled(ctx, t.Owner)
		}
		if e := api.ErrorOf(err); e != nil && (e.Code == api.CodeNotFound || e.Code == api.CodeForbidden) {
			cancel(failf(nil, true, "%s", e.Message))
			return
		}
		select {
		case <-changes:
		case <-check.C:
		case <-ctx.Done():
			return
		}
	}
}

// send is run without the watching. parent does not end when the transfer is
// stopped: a login is completed in any case, since the ticket is needed to
// notify the receiver.
func (a *attempt) send(parent, ctx context.Context) error {
	if err := a.loadMirror(ctx); err != nil {
		return err
	}
	requests, err := a.requests()
	if err != nil {
		return err
	}
	nc, pinned, err := a.dial(ctx)
	if err != nil {
		return err
	}
	// The lanes are dialled while this connection is secured and the receiver checks
	// the password.
	dialling, stop := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer stop()
	first := a.dialFirst(dialling, &helpers, pinned, a.lanesWanted())
	conn, err := a.secure(ctx, nc, pinned, requests)
	if err != nil {
		return err
	}
	defer conn.Close()
	if len(a.t.Ticket) == 0 {
		if err := a.login(parent, conn); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	a.first = a.t.StartTime == 0
	t, err := a.s.o.Engine.Change(ctx, a.t.TransferID, func(t *transfer.Transfer) error {
		if !t.Processing || t.Status == transfer.StatusSuspended {
			return errStopped
		}
		t.Status, t.ErrorMessage, t.PublicKey = transfer.StatusActive, "", conn.PeerKey()
		return nil
	})
	if err != nil {
		return err
	}
	a.t = t
	a.s.o.Engine.Reached(t.DestinationID)
	outcome, err := a.stream(ctx, conn, first)
	if err != nil {
		return err
	}
	return a.conclude(parent, outcome)
}

func (a *attempt) unexpectedFrame(h wire.Header) error {
	return a.broken("a frame of type %d is out of place", h.Type)
}

// failure turns a Failure of the receiver into an error.
func (a *attempt) failure(f wire.Failure) error {
	message := fmt.Sprintf("%s: %s", a.to, wire.Clean(f.Message))
	switch f.Code {
	case api.CodeTooManyRequests:
		after := time.Duration(min(max(f.RetryAfterSeconds, 1), 3600)) * time.Second
		return &retryLater{message: message + "; trying again later", after: after}
	case api.CodeUnauthorized, api.CodeForbidden, api.CodeInvalid, api.CodeConflict, api.CodeNotFound, api.CodeTooLarge:
		return failf(nil, f.Code != api.CodeUnauthorized, "%s", message)
	}
	return &retryLater{message: message + "; trying again"}
}
