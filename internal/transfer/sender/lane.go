package sender

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

const (
	// redialEvery is how long a lane may take to connect, and how long it waits at most
	// until it is dialled again; the first wait is twice firstRedial.
	redialEvery = 5 * time.Second
	firstRedial = 50 * time.Millisecond
	// silentLane is for how long nothing is heard of a lane before it is dialled
	// anew. Receivers send a ping every wire.PingInterval.
	silentLane = 5 * time.Second
	// unsentFar is how many bytes wait unsent in the kernel for a lane to a receiver that is
	// far: a piece is bound to a lane no earlier than that it can go out.
	unsentFar = 128 << 10
	// hopelessLane is after how many attempts in a row a transfer without any
	// working lane is given up for the time being.
	hopelessLane = 3
)

// lane is one of the connections that carry the data of a transfer. It is
// dialled anew when it breaks.
type lane struct {
	s      *stream
	number int
	first  <-chan dialled // its first connection

	// Of the goroutine that sends.
	batch  []byte
	opener *transfer.Opener
	file   *os.File // the file that was read last
	source *source  // what it is
	counts int64    // chunks in batch
	shrink shrink

	mu       sync.Mutex
	conn     *wire.Conn // nil while there is none
	inFlight []inFlight // not acknowledged, oldest first
	written  int64      // chunks
}

// inFlight is a piece of which the last chunk was the lane's one of that number.
type inFlight struct {
	*piece
	upTo int64
}

// dialled is the result of dialling a lane.
type dialled struct {
	conn *wire.Conn
	err  error
}

// run keeps the lane connected until ctx ends, and sends.
func (l *lane) run(ctx context.Context) {
	defer func() {
		l.closeFile()
		if l.opener != nil {
			l.opener.Close()
		}
	}()
	failures := 0
	for {
		worked, err := l.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		if _, ended := errors.AsType[*finalError](err); ended {
			l.s.cancel(err)
			return
		}
		l.s.a.connection.lost(err)
		l.s.a.s.log.Debug("a lane broke and is dialled anew", "transferId", l.s.a.t.TransferID, "lane", l.number, "error", err)
		if worked {
			failures = 0
			continue
		}
		if failures++; failures >= hopelessLane && l.s.working() == 0 {
			l.s.cancel(err)
			return
		}
		select {
		case <-time.After(min(redialEvery, firstRedial<<failures)):
		case <-ctx.Done():
			return
		}
	}
}

// serve connects the lane and sends until it breaks. What was not acknowledged
// then goes back to the queue. worked reports whether anything was acknowledged.
func (l *lane) serve(ctx context.Context) (worked bool, err error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	l.conn, l.written = conn, 0
	l.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(ctx, conn.Abort)
	var helpers sync.WaitGroup
	helpers.Go(func() { _ = conn.KeepAlive(ctx) })
	if l.s.a.s.o.Policy == PolicyLow {
		helpers.Go(func() { steer(ctx, conn.NetConn()) })
	}
	helpers.Go(func() {
		acknowledged, err := l.listen(conn)
		worked = acknowledged > 0
		cancel(err)
	})
	err = l.send(ctx, conn)
	if _, ended := errors.AsType[*finalError](err); !ended && ctx.Err() == nil {
		// The receiver may have sent the reason before it closed.
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	cancel(err)
	stop()
	conn.Abort()
	helpers.Wait()
	l.mu.Lock()
	lost := make([]*piece, 0, len(l.inFlight))
	for _, f := range l.inFlight {
		lost = append(lost, f.piece)
	}
	l.conn, l.inFlight = nil, nil
	l.mu.Unlock()
	l.s.queue.giveBack(lost)
	return worked, context.Cause(ctx)
}

// connect dials the lane and joins the transfer.
func (l *lane) connect(ctx context.Context) (*wire.Conn, error) {
	var d dialled
	if l.first != nil {
		select {
		case d = <-l.first:
			l.first = nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	} else {
		d.conn, d.err = l.s.a.dialLane(ctx, l.s.conn.PeerKey())
	}
	if d.err != nil {
		return nil, d.err
	}
	if key := l.s.conn.PeerKey(); d.conn.PeerKey() != key { // the first ones are dialled before it is known
		d.conn.Abort()
		return nil, &wire.KeyChangedError{Pinned: key, Presented: d.conn.PeerKey()}
	}
	if err := d.conn.Send(wire.TypeJoin, wire.Join{TransferID: l.s.a.t.TransferID, Session: l.s.session}); err != nil {
		d.conn.Abort()
		return nil, err
	}
	return d.conn, nil
}

// listen handles what the receiver sends on the lane until that breaks.
func (l *lane) listen(conn *wire.Conn) (acknowledged int64, err error) {
	for {
		h, payload, err := conn.Read()
		if err != nil {
			return acknowledged, err
		}
		switch h.Type {
		case wire.TypeAck:
			if err := l.acknowledge(h.Index); err != nil {
				return acknowledged, err
			}
			acknowledged = h.Index
		case wire.TypeFailure:
			var f wire.Failure
			if err := wire.Decode(payload, &f); err != nil {
				return acknowledged, err
			}
			return acknowledged, errors.New(wire.Clean(f.Message))
		default:
			return acknowledged, l.s.a.unexpectedFrame(h)
		}
	}
}

// acknowledge forgets the pieces that have arrived.
func (l *lane) acknowledge(n int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n > l.written {
		return l.s.a.broken("it acknowledges %d chunks of %d", n, l.written)
	}
	i := 0
	for i < len(l.inFlight) && l.inFlight[i].upTo <= n {
		l.s.queue.acknowledge(l.inFlight[i].piece)
		i++
	}
	l.inFlight = l.inFlight[i:]
	return nil
}

// send sends pieces until ctx ends or the lane breaks, and returns why.
func (l *lane) send(ctx context.Context, conn *wire.Conn) error {
	pace := func(left int) (int, error) { return l.s.a.pace(ctx, left) }
	for {
		p, err := l.s.queue.take(ctx, l.number)
		if err != nil {
			return err
		}
		if err := l.read(p); err != nil {
			l.s.queue.giveBack([]*piece{p})
			return err
		}
		if l.counts == 0 { // none of its files could be read
			l.s.queue.sent(p)
			l.s.queue.acknowledge(p)
			continue
		}
		l.mu.Lock()
		l.written += l.counts
		l.inFlight = append(l.inFlight, inFlight{p, l.written})
		l.mu.Unlock()
		began := time.Now()
		if err := conn.WriteFrames(l.batch, pace); err != nil {
			return err
		}
		l.shrink.wrote(len(l.batch), time.Since(began))
		l.s.queue.sent(p)
	}
}

// read reads a piece into the batch. A file that cannot be read is reported to
// the receiver, with onError continue.
func (l *lane) read(p *piece) error {
	if l.batch == nil {
		l.batch = make([]byte, 0, l.s.pieceSize+batchExtra)
	}
	l.batch, l.counts = l.batch[:0], 0
	for i := range p.parts {
		part := &p.parts[i]
		if part.file.stale.Load() || l.s.isGone(part.file.Index) {
			continue
		}
		before, counts := len(l.batch), l.counts
		err := l.readPart(part)
		if err == nil {
			continue
		}
		l.closeFile()
		l.batch, l.counts = l.batch[:before], counts
		if errors.Is(err, errChanged) {
			if err = l.s.change(l.opener, part.file); err == nil {
				continue
			}
		}
		e, ended := errors.AsType[*finalError](err)
		if !ended || l.s.a.t.OnError != "continue" {
			return err
		}
		if err := l.s.gone(part.file.Index, e.message); err != nil {
			return err
		}
	}
	return nil
}

// readPart appends the chunks of a part to the batch.
func (l *lane) readPart(p *part) error {
	f := p.file
	if err := l.openFile(f); err != nil {
		return err
	}
	offset, end, again := p.offset, p.offset+int64(p.length), p.chunks
	p.chunks = p.chunks[:0]
	for offset < end {
		n := int(min(end-offset, int64(l.chunkSize())))
		if len(again) > 0 {
			n = again[0].length
		}
		at := len(l.batch)
		payload := l.batch[at+wire.HeaderSize : at+wire.HeaderSize+n]
		if _, err := l.file.ReadAt(payload, offset); err != nil {
			if errors.Is(err, io.EOF) {
				return errChanged
			}
			return failf(err, true, "source %s cannot be read: %s", api.Quote(f.Source), cmp.Or(api.SystemReason(err), err.Error()))
		}
		sum := wire.Sum(payload)
		if len(again) > 0 {
			if again[0].sum != sum {
				return errChanged
			}
			again = again[1:]
		}
		p.chunks = append(p.chunks, chunk{n, sum})
		length := l.compress(f.Index, payload)
		wire.PutHeader(l.batch[at:at+wire.HeaderSize], wire.Header{
			Type: wire.TypeData, Compressed: length < n, Length: length, Version: f.version, Index: f.Index, Offset: offset, Sum: sum,
		})
		l.batch = l.batch[:at+wire.HeaderSize+length]
		l.counts++
		offset += int64(n)
	}
	after, err := l.file.Stat()
	if err != nil || !f.unchanged(after, p.length < int(f.Size)) {
		return errChanged
	}
	if p.length == int(f.Size) {
		l.closeFile()
	}
	return nil
}

// openFile opens the file of a part, unless it was that of the part before.
func (l *lane) openFile(f *source) (err error) {
	if l.file != nil && l.source == f {
		return nil
	}
	l.closeFile()
	if l.opener == nil {
		l.opener = l.s.sources.Opener()
	}
	if l.file, err = l.opener.Open(f.ManifestFile); err != nil {
		l.file = nil
		if errors.Is(err, transfer.ErrChanged) {
			return errChanged
		}
		return sourceError(err)
	}
	l.source = f
	l.s.sent.opened(f, l.file)
	return nil
}

func (l *lane) closeFile() {
	if l.file != nil {
		_ = l.file.Close()
		l.file, l.source = nil, nil
	}
}

// sourceError turns an error of a source into a finalError, unless it is
// temporary.
func sourceError(err error) error {
	e := api.ErrorOf(err)
	switch e.Code {
	case api.CodeInternal, api.CodeUnavailable, api.CodeTimeout:
		return err
	}
	return failf(e.Err, true, "%s", e.Message)
}

// connection returns the lane's connection, nil if there is none.
func (l *lane) connection() *wire.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// dialLane connects a lane to the server of that public key; to any if it is empty.
func (a *attempt) dialLane(ctx context.Context, key string) (*wire.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, redialEvery)
	defer cancel()
	nc, err := a.s.o.Dial(ctx, a.to)
	if err != nil {
		return nil, err
	}
	_ = setCongestion(nc, a.link.control) // which was tried before
	if a.link.roundTrip >= near {
		limitUnsent(nc, unsentFar)
	}
	return wire.Client(ctx, nc, a.s.o.Identity, key, a.s.hello())
}
