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

// errSilent ends a stream of which nothing is heard.
var errSilent = errors.New("nothing was heard for some seconds")

const (
	// pieceNear and pieceFar are the sizes of pieces, for receivers nearby and
	// for those further away than near: where a link is slow, small ones let the
	// lanes end at the same time.
	pieceNear = wire.MaxData
	pieceFar  = 256 << 10
	near      = time.Millisecond
	// batchExtra is how much larger than its data a piece is on the wire at most.
	batchExtra = 64 << 10
	// piecesAhead is how many pieces wait for each lane.
	piecesAhead = 2
	// silentAfter is for how long nothing is heard before the receiver is dialled
	// anew. It sends a ping every wire.PingInterval.
	silentAfter = 5 * wire.PingInterval
	// lookEvery is how often the connections are looked at.
	lookEvery = 500 * time.Millisecond
)

// stream sends one transfer. A planner announces the files and cuts them into
// pieces, lanes read and send these, and a listener handles the messages of the
// receiver.
type stream struct {
	a         *attempt
	conn      *wire.Conn
	cancel    context.CancelCauseFunc
	sources   *transfer.Sources
	queue     *queue
	session   []byte
	pieceSize int
	answers   bool // the receiver answers each page of the list
	skips     *inbox[wire.Skip]
	compares  *inbox[wire.Compare]
	sent      *sentSources
	listed    atomic.Int64 // entries that were announced
	outcome   chan wire.Outcome
	allSent   atomic.Bool // every piece was sent once

	mu        sync.Mutex
	lanes     []*lane
	goneFiles map[int64]bool // files that cannot be read

	changing sync.Mutex // held while a change of a file is announced
}

// stream sends the transfer over conn and lanes, whose first connections are being
// dialled.
func (a *attempt) stream(ctx context.Context, conn *wire.Conn, first []<-chan dialled) (wire.Outcome, error) {
	none := wire.Outcome{}
	ctx, cancel := context.WithCancelCause(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer conn.Abort() // ends the listener
	defer cancel(nil)
	stop := context.AfterFunc(ctx, conn.Abort)
	defer stop()
	helpers.Go(func() { _ = conn.KeepAlive(ctx) })

	resume, ended, err := a.opened(conn)
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
	sent, err := a.recordSent(ctx, resume.Index)
	if err != nil {
		return none, err
	}
	defer sent.flush()
	s := &stream{
		a: a, conn: conn, cancel: cancel, sent: sent, session: resume.Session, pieceSize: a.link.pieceSize(),
		answers: resume.AnswersSkip, skips: newInbox[wire.Skip](), compares: newInbox[wire.Compare](), outcome: make(chan wire.Outcome, 1), goneFiles: map[int64]bool{},
	}
	if s.sources, err = a.s.o.Engine.Sources(ctx, &a.t); err != nil {
		return none, sourceError(err)
	}
	defer s.sources.Close()
	a.connection.connected(s)
	a.turn.begin()
	defer a.turn.end()
	var unwatch func() bool
	s.queue, unwatch = newQueue(ctx, piecesAhead*max(len(first), 1))
	s.queue.pieceSize = s.pieceSize
	defer unwatch()
	var working sync.WaitGroup // what uses the sources
	defer working.Wait()
	defer cancel(nil)
	run := func(l *lane) { working.Go(func() { l.run(ctx) }) }
	for i, d := range first[:min(len(first), resume.Lanes)] {
		l := &lane{s: s, number: i, first: d, shrink: a.newShrink()}
		s.mu.Lock()
		s.lanes = append(s.lanes, l)
		s.mu.Unlock()
		run(l)
	}
	if a.t.Checksum {
		working.Go(func() { s.compare(ctx) })
	}
	helpers.Go(s.listen)
	working.Go(func() { s.plan(ctx, resume) })
	working.Go(func() { s.supervise(ctx, resume.Lanes, run) })
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

// dialFirst begins to dial lanes, of which those that nobody takes are closed when ctx
// ends.
func (a *attempt) dialFirst(ctx context.Context, helpers *sync.WaitGroup, key string, n int) []<-chan dialled {
	list := make([]<-chan dialled, n)
	for i := range list {
		result := make(chan dialled, 1)
		list[i] = result
		helpers.Go(func() {
			conn, err := a.dialLane(ctx, key)
			result <- dialled{conn, err}
			<-ctx.Done()
			select {
			case d := <-result:
				if d.conn != nil {
					d.conn.Abort()
				}
			default:
			}
		})
	}
	return list
}

// cause returns the reason why ctx has ended, if it has, since err is then only
// its consequence.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// supervise ends connections of which nothing is heard, keeps as many lanes at
// work as the rate wants, and runs more of them, up to most, while their windows
// hold up the transfer.
func (s *stream) supervise(ctx context.Context, most int, run func(*lane)) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	grow := time.NewTicker(growEvery)
	defer grow.Stop()
	var g growth
	for {
		s.queue.setLanes(s.a.lanesAtRate())
		select {
		case <-look.C:
		case <-grow.C:
			if l := s.grow(&g, most); l != nil {
				run(l)
			}
		case <-ctx.Done():
			return
		}
		if time.Since(s.conn.Heard()) > silentAfter {
			s.cancel(errSilent)
			return
		}
		for _, conn := range s.open() {
			if time.Since(conn.Heard()) > silentLane {
				conn.Abort()
			}
		}
	}
}

// open returns the connections of the lanes that have one.
func (s *stream) open() (list []*wire.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lanes {
		if conn := l.connection(); conn != nil {
			list = append(list, conn)
		}
	}
	return list
}

// working returns how many lanes are connected.
func (s *stream) working() int { return len(s.open()) }

// link returns what is known of the link at present.
func (s *stream) link() link {
	for _, conn := range s.open() {
		return readLink(conn.NetConn())
	}
	return s.a.link
}

// isGone reports whether a file cannot be read.
func (s *stream) isGone(index int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.goneFiles[index]
}

// gone reports to the receiver that a file cannot be read, once.
func (s *stream) gone(index int64, message string) error {
	s.changing.Lock() // what is said of a file is said in order
	defer s.changing.Unlock()
	s.mu.Lock()
	known := s.goneFiles[index]
	s.goneFiles[index] = true
	s.mu.Unlock()
	if known {
		return nil
	}
	s.queue.forget(index)
	return s.control(wire.TypeFileGone, wire.FileGone{Index: index, Message: wire.Clean(message)})
}

// control sends a message. The listener knows best why it fails.
func (s *stream) control(t wire.Type, message any) error {
	err := s.conn.Send(t, message)
	if err != nil {
		s.conn.Abort()
	}
	return err
}

// opened waits for the answer to Open: where to continue, or how the transfer has
// ended.
func (a *attempt) opened(conn *wire.Conn) (resume wire.Resume, ended *wire.Outcome, err error) {
	for {
		h, payload, err := conn.Read()
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

// settings returns what the receiver must know of the transfer.
func (a *attempt) settings() wire.Open {
	t := &a.t
	return wire.Open{
		TransferID: t.TransferID, Ticket: t.Ticket, TotalFiles: t.TotalFiles, TotalBytes: t.TotalBytes - t.Grown, DataBytes: t.DataBytes,
		DestinationPath: wire.Name(t.DestinationPath), Conflict: t.Conflict, OnError: t.OnError, Checksum: t.Checksum,
		CheckpointSeconds: t.CheckpointFrequencySeconds, Lanes: wire.MaxLanes, Mirror: a.wireMirror(),
	}
}

// progress handles a Progress of the receiver.
func (a *attempt) progress(payload []byte) error {
	var p wire.Progress
	if err := wire.Decode(payload, &p); err != nil {
		return err
	}
	if !a.resumed {
		a.grown.Store(p.Grown)
	}
	if !a.within(p.Files, p.Bytes) {
		return a.broken("it confirms %d files and %d bytes of %d and %d", p.Files, p.Bytes, a.t.TotalFiles, a.total())
	}
	a.confirmed = min(a.confirmed, p.Bytes) // it has discarded what has changed
	if p.Bytes > a.confirmed {
		a.progressed = true
		a.meter.Add(p.Bytes - a.confirmed)
		a.s.sent.Add(p.Bytes - a.confirmed)
		a.confirmed = p.Bytes
	}
	files, bytes := a.s.unchanged.of(a.t.TransferID)
	a.s.o.Engine.Progress(a.t.TransferID, transfer.Progress{
		Files: p.Files, Bytes: p.Bytes, UnchangedFiles: files, UnchangedBytes: bytes,
		Saved: a.bytesSaved(), Grown: a.grown.Load(), Rate: a.meter.Rate(),
	})
	return nil
}

// listen handles messages of the receiver until the connection or the transfer
// ends.
func (s *stream) listen() {
	for {
		h, payload, err := s.conn.Read()
		if err != nil {
			s.cancel(err)
			return
		}
		switch h.Type {
		case wire.TypeProgress:
			err = s.a.progress(payload)
		case wire.TypeSkip:
			var skip wire.Skip
			if !s.answers {
				err = s.a.unexpectedFrame(h)
			} else if err = wire.Decode(payload, &skip); err == nil {
				err = s.put(s.skips.put(skip, len(skip.Indices)))
			}
		case wire.TypeCompare:
			err = s.asked(h, payload)
		case wire.TypeFileExpected:
			err = s.expected(payload)
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
