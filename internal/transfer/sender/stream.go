package sender

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// errAnswered ends a stream because the receiver has sent its Outcome.
var errAnswered = errors.New("the receiver has answered")

// stream sends one transfer on one connection. A producer reads files into
// batches of frames, the goroutine of the attempt writes them, and a listener
// handles the messages of the receiver.
type stream struct {
	a       *attempt
	conn    *wire.Conn
	cancel  context.CancelCauseFunc
	batches chan []byte
	free    chan []byte
	skips   chan wire.Skip
	outcome chan wire.Outcome
	allSent atomic.Bool // End was produced
}

// batchesInFlight is how many batches are in memory: one that is filled, one
// that is written, and one between them.
const batchesInFlight = 3

func (a *attempt) stream(ctx context.Context, conn *wire.Conn) (wire.Outcome, error) {
	none := wire.Outcome{}
	ctx, cancel := context.WithCancelCause(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer conn.Abort() // ends the listener
	defer cancel(nil)
	stop := context.AfterFunc(ctx, conn.Abort)
	defer stop()
	helpers.Go(func() { _ = conn.KeepAlive(ctx) })

	resume, ended, err := a.open(conn)
	if err != nil {
		return none, cause(ctx, err)
	}
	if ended != nil {
		if a.first && ended.Status == string(transfer.StatusComplete) {
			return none, a.broken("it calls the transfer complete, of which nothing was sent")
		}
		return *ended, nil
	}
	if err := a.checkResume(ctx, resume); err != nil {
		return none, err
	}
	a.confirmed = resume.Bytes
	s := &stream{
		a: a, conn: conn, cancel: cancel,
		batches: make(chan []byte, 1), free: make(chan []byte, batchesInFlight),
		skips: make(chan wire.Skip, 16), outcome: make(chan wire.Outcome, 1),
	}
	for range batchesInFlight {
		s.free <- nil
	}
	listening := make(chan struct{})
	helpers.Go(func() { defer close(listening); s.listen(ctx) })
	helpers.Go(func() { s.produce(ctx, resume) })
	paced := func(left int) (int, error) { return a.pace(ctx, left) }
	for batch := range s.batches {
		if err := conn.WriteFrames(batch, paced); err != nil {
			// The receiver may have sent the reason before it closed.
			select {
			case <-listening:
			case <-time.After(2 * time.Second):
			}
			cancel(err)
			break
		}
		s.free <- batch[:0]
	}
	select {
	case <-ctx.Done():
	case o := <-s.outcome:
		return o, nil
	}
	if errors.Is(context.Cause(ctx), errAnswered) {
		return <-s.outcome, nil
	}
	return none, context.Cause(ctx)
}

// cause returns the reason why ctx has ended, if it has, since err is then only
// its consequence.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// open opens the transfer at the receiver. It returns where to continue, or how
// the transfer has ended.
func (a *attempt) open(conn *wire.Conn) (resume wire.Resume, ended *wire.Outcome, err error) {
	t := &a.t
	if err := conn.Send(wire.TypeOpen, wire.Open{
		TransferID: t.TransferID, Ticket: t.Ticket, TotalFiles: t.TotalFiles, TotalBytes: t.TotalBytes, DataBytes: t.DataBytes,
		DestinationPath: wire.Name(t.DestinationPath), Conflict: t.Conflict, OnError: t.OnError,
		CheckpointSeconds: t.CheckpointFrequencySeconds,
	}); err != nil {
		return resume, nil, err
	}
	for {
		h, payload, err := conn.Read(nil)
		if err != nil {
			return resume, nil, err
		}
		switch h.Type {
		case wire.TypeResume:
			return resume, nil, wire.Decode(payload, &resume)
		case wire.TypeOutcome:
			ended = new(wire.Outcome)
			return resume, ended, wire.Decode(payload, ended)
		case wire.TypeProgress: // the files get their final names
			if err := a.progress(payload); err != nil {
				return resume, nil, err
			}
		case wire.TypeFailure:
			var f wire.Failure
			if err := wire.Decode(payload, &f); err != nil {
				return resume, nil, err
			}
			return resume, nil, a.failure(f)
		default:
			return resume, nil, a.unexpectedFrame(h)
		}
	}
}

// progress handles a Progress of the receiver.
func (a *attempt) progress(payload []byte) error {
	var p wire.Progress
	if err := wire.Decode(payload, &p); err != nil {
		return err
	}
	if !a.within(p.Files, p.Bytes) {
		return a.broken("it confirms %d files and %d bytes of %d and %d", p.Files, p.Bytes, a.t.TotalFiles, a.t.TotalBytes)
	}
	if p.Bytes > a.confirmed {
		a.progressed = true
		a.meter.Add(p.Bytes - a.confirmed)
		a.s.sent.Add(p.Bytes - a.confirmed)
		a.confirmed = p.Bytes
	}
	a.s.o.Engine.Progress(a.t.TransferID, transfer.Progress{Files: p.Files, Bytes: p.Bytes, Rate: a.meter.Rate()})
	return nil
}

// listen handles messages of the receiver until the connection or the transfer
// ends.
func (s *stream) listen(ctx context.Context) {
	for {
		h, payload, err := s.conn.Read(nil)
		if err != nil {
			s.cancel(err)
			return
		}
		switch h.Type {
		case wire.TypeProgress:
			err = s.a.progress(payload)
		case wire.TypeSkip:
			var skip wire.Skip
			if err = wire.Decode(payload, &skip); err == nil {
				select {
				case s.skips <- skip:
				case <-ctx.Done():
					return
				}
			}
		case wire.TypeOutcome:
			var o wire.Outcome
			if err = wire.Decode(payload, &o); err == nil {
				if err = errAnswered; o.Status == string(transfer.StatusComplete) && !s.allSent.Load() {
					err = s.a.broken("it calls the transfer complete before everything was sent")
				} else {
					s.outcome <- o
				}
			}
		case wire.TypeFailure:
			var f wire.Failure
			if err = wire.Decode(payload, &f); err == nil {
				err = s.a.failure(f)
			}
		default:
			err = s.a.unexpectedFrame(h)
		}
		if err != nil {
			s.cancel(err)
			return
		}
	}
}
