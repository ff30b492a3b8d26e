package receiver

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer/wire"
)

const (
	// silentLane is for how long nothing was heard of a lane that may be replaced.
	silentLane = 2 * wire.PingInterval
	// ackEvery is after how many bytes an Ack is sent while data keep coming.
	ackEvery = 1 << 20
)

// lanes are the connections that carry the data of a session. Safe for
// concurrent use.
type lanes struct {
	secret []byte
	most   int

	mu    sync.Mutex
	conns map[*wire.Conn]struct{}
}

func newLanes(wanted int) *lanes {
	secret := make([]byte, wire.SessionSize)
	_, _ = rand.Read(secret) // never fails
	return &lanes{secret: secret, most: min(max(wanted, 1), wire.MaxLanes), conns: map[*wire.Conn]struct{}{}}
}

// add adds a lane. If there are as many as agreed, it replaces one that is
// silent, since a lane is dialled anew before its former connection is known to
// be dead.
func (l *lanes) add(conn *wire.Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= l.most {
		var silent *wire.Conn
		for c := range l.conns {
			if time.Since(c.Heard()) > silentLane && (silent == nil || c.Heard().Before(silent.Heard())) {
				silent = c
			}
		}
		if silent == nil {
			return api.Errorf(api.CodeConflict, "the transfer has as many lanes as were agreed (%d)", l.most)
		}
		silent.Abort()
		delete(l.conns, silent)
	}
	l.conns[conn] = struct{}{}
	return nil
}

func (l *lanes) remove(conn *wire.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
}

// join serves a lane until it or its session ends.
func (r *Receiver) join(ctx context.Context, conn *wire.Conn, helpers *sync.WaitGroup, payload []byte) error {
	var j wire.Join
	if err := wire.Decode(payload, &j); err != nil {
		return err
	}
	r.mu.Lock()
	s := r.sessions[string(j.Session)]
	r.mu.Unlock()
	if s == nil || s.in.id != j.TransferID || s.in.key != conn.PeerKey() {
		return api.Errorf(api.CodeUnauthorized, "the lane belongs to no transfer that is open here")
	}
	if err := s.lanes.add(conn); err != nil {
		return err
	}
	defer s.lanes.remove(conn)
	s.window.join()
	r.limiter.Pin(conn.NetConn())
	conn.Limit(time.Time{})
	if r.o.Incoming != nil {
		conn.Pace(ctx, r.o.Incoming)
	}
	stop := context.AfterFunc(s.ctx, conn.Abort)
	defer stop()
	helpers.Go(func() { _ = conn.KeepAlive(ctx) })
	err := s.serveLane(conn)
	if s.ctx.Err() != nil {
		return nil // the connection that opened the transfer says why
	}
	return err
}

// serveLane takes the chunks of a lane. What ends the session, and not only the
// lane, is passed on.
func (s *session) serveLane(conn *wire.Conn) error {
	var frames, unacknowledged int64
	var buf, plain []byte
	take := func(n int) []byte {
		buf = s.r.buffers.take(n)
		return buf[:n]
	}
	takePlain := func(n int) []byte {
		plain = s.r.buffers.take(n)
		return plain[:n]
	}
	for {
		h, payload, err := conn.ReadInto(take)
		if err == nil && h.Type != wire.TypeData {
			err = &wire.ProtocolError{Reason: "a lane carries data and nothing else"}
		}
		if err == nil {
			h, payload, err = s.r.decompressor.Plain(h, payload, takePlain)
		}
		if err == nil {
			if err = h.Check(payload); err == nil {
				if err = s.data(h, payload); err != nil && !errors.Is(err, errOver) {
					s.fail(err)
				}
			}
		}
		s.r.buffers.give(buf)
		s.r.buffers.give(plain)
		buf, plain = nil, nil
		if err != nil {
			if _, broken := errors.AsType[*wire.ProtocolError](err); broken {
				s.fail(err)
			}
			return err
		}
		frames++
		if unacknowledged += int64(h.Length); unacknowledged >= ackEvery || !conn.Buffered() {
			if err := conn.Ack(frames); err != nil {
				return err
			}
			unacknowledged = 0
		}
	}
}

// join counts a lane.
func (w *window) join() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.joined++
}

// buffers keeps memory for payloads, so that an idle lane has none.
type buffers struct{ small, large sync.Pool }

// smallBuffer is the size of the smaller buffers.
const smallBuffer = 64 << 10

func (b *buffers) take(n int) []byte {
	pool, size := &b.small, smallBuffer
	if n > smallBuffer {
		pool, size = &b.large, wire.MaxData
	}
	if p, ok := pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, size)
}

func (b *buffers) give(buf []byte) {
	switch cap(buf) {
	case 0:
	case smallBuffer:
		b.small.Put(&buf)
	default:
		b.large.Put(&buf)
	}
}
