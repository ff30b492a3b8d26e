package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer/pace"
)

// The versions of the protocol that this program speaks.
const (
	MinVersion = 5
	MaxVersion = 5
)

// The timeouts of the protocol.
const (
	// HandshakeTimeout bounds TLS and Hello together.
	HandshakeTimeout = 10 * time.Second
	// IdleTimeout bounds the time without progress of a read or write.
	IdleTimeout = 60 * time.Second
	// FrameTimeout, and FrameTimePerKiB of its payload, bound the time that the
	// other end takes for a frame, from when it is waited for.
	FrameTimeout    = 90 * time.Second
	FrameTimePerKiB = time.Second
	// PingInterval is after how much time without other frames a ping is sent.
	PingInterval = 2 * time.Second
)

// SessionSize is the size of Resume.Session in bytes.
const SessionSize = 16

// MaxLanes is how many lanes a transfer may have.
const MaxLanes = 16

var (
	errTimeout = errors.New("no progress for a minute")
	errSlow    = errors.New("a frame was not complete in time")
)

// VersionError reports that the two ends share no version of the protocol.
type VersionError struct{ Ours, Theirs Hello }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the two servers share no version of the transfer protocol: this one (%s) speaks version %s, the other (%s) version %s; update the older one",
		e.Ours.Software, e.Ours.versions(), Clean(e.Theirs.Software), e.Theirs.versions())
}

func (h Hello) versions() string {
	if h.MinVersion == h.MaxVersion {
		return strconv.Itoa(h.MinVersion)
	}
	return fmt.Sprintf("%d to %d", h.MinVersion, h.MaxVersion)
}

// Clean prepares a text of a peer for a message or a log: it is shortened to
// 1000 bytes, and what a terminal would not show as it is gets escaped.
func Clean(s string) string {
	return terminal.Printable(api.Shorten(s, 1000))
}

// Conn is a connection after the handshake. Only one goroutine may read;
// writing is safe for concurrent use.
type Conn struct {
	tls     *tls.Conn
	limited *limitedConn
	r       *bufio.Reader
	peer    Hello
	peerKey string
	version int

	mu  sync.Mutex // writing
	out []byte
	// wrote counts writes, so that pings are only sent without other frames.
	wrote atomic.Uint64
}

// limitedConn sets a deadline for each read and write. until is an additional,
// absolute deadline, and frame one for reading.
type limitedConn struct {
	net.Conn
	frame time.Time    // for the goroutine that reads; zero is none
	until atomic.Int64 // Unix nanoseconds; 0 is none
	heard atomic.Int64 // Unix nanoseconds of the last bytes that were read
	// pacing holds up what is read; nil: nothing does.
	pacing atomic.Pointer[pacing]
}

type pacing struct {
	ctx     context.Context //nolint:containedctx // that of the connection's reader, which calls Read without one
	limiter *pace.Limiter
}

func (c *limitedConn) deadline() time.Time {
	d := time.Now().Add(IdleTimeout)
	if n := c.until.Load(); n != 0 && n < d.UnixNano() {
		return time.Unix(0, n)
	}
	return d
}

func (c *limitedConn) Read(b []byte) (int, error) {
	deadline := c.deadline()
	if !c.frame.IsZero() && c.frame.Before(deadline) {
		deadline = c.frame
	}
	if err := c.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	p := c.pacing.Load()
	if p != nil {
		b = b[:p.limiter.Piece(len(b))]
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(time.Now().UnixNano())
	}
	if p != nil {
		begin := time.Now()
		if waited := p.limiter.Wait(p.ctx, n); err == nil {
			err = waited
		}
		c.frame = c.frame.Add(time.Since(begin)) // the other end is not to blame
	}
	return n, err
}

func (c *limitedConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(c.deadline()); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Pace lets a limiter hold up all that is read from now on, until ctx ends, with
// which reading fails.
func (c *Conn) Pace(ctx context.Context, limiter *pace.Limiter) {
	c.limited.pacing.Store(&pacing{ctx, limiter})
}

// Client makes the connection of the dialling end: TLS, then Hello. pinned is
// the public key that the peer must have, or empty. early follows Hello at once, before
// the Hello of the peer has come: a round trip is saved, and only the peer's key is
// known. If it fails it closes nc; errors may be *KeyChangedError, *VersionError or
// *ProtocolError.
func Client(ctx context.Context, nc net.Conn, id *Identity, pinned string, hello Hello, early ...Message) (*Conn, error) {
	l := &limitedConn{Conn: nc}
	return handshake(ctx, l, tls.Client(l, id.ClientTLS(pinned)), append([]Message{{TypeHello, hello}}, early...))
}

// Server makes the connection of the accepting end. If it fails it closes nc.
func Server(ctx context.Context, nc net.Conn, id *Identity, hello Hello) (*Conn, error) {
	l := &limitedConn{Conn: nc}
	return handshake(ctx, l, tls.Server(l, id.ServerTLS()), []Message{{TypeHello, hello}})
}

// handshake sends the messages, of which the first is a Hello.
func handshake(ctx context.Context, l *limitedConn, t *tls.Conn, messages []Message) (_ *Conn, err error) {
	defer func() {
		if err != nil {
			_ = l.Conn.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = l.Conn.Close() })
	defer stop()
	l.until.Store(time.Now().Add(HandshakeTimeout).UnixNano())
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	c := &Conn{tls: t, limited: l, r: bufio.NewReaderSize(t, 32<<10)}
	if c.peerKey, err = peerKey(t.ConnectionState()); err != nil {
		return nil, err
	}
	if err := c.SendAll(messages); err != nil {
		return nil, err
	}
	h, payload, err := c.Read()
	if err != nil {
		return nil, err
	}
	if h.Type != TypeHello {
		return nil, protocolErrorf("the peer did not begin with a hello")
	}
	if err := Decode(payload, &c.peer); err != nil {
		return nil, err
	}
	hello, _ := messages[0].Body.(Hello)
	c.version = min(hello.MaxVersion, c.peer.MaxVersion)
	if c.version < max(hello.MinVersion, c.peer.MinVersion) {
		return nil, &VersionError{Ours: hello, Theirs: c.peer}
	}
	l.until.Store(0)
	return c, nil
}

// Peer returns the Hello of the other end.
func (c *Conn) Peer() Hello { return c.peer }

// PeerKey returns the public key of the other end, which TLS has verified.
func (c *Conn) PeerKey() string { return c.peerKey }

// Version returns the version of the protocol that is used.
func (c *Conn) Version() int { return c.version }

// RemoteAddr returns the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.limited.RemoteAddr() }

// NetConn returns the connection that was given to Server or Client.
func (c *Conn) NetConn() net.Conn { return c.limited.Conn }

// Limit sets an absolute deadline for reading and writing; the zero time
// removes it.
func (c *Conn) Limit(t time.Time) {
	if t.IsZero() {
		c.limited.until.Store(0)
		return
	}
	c.limited.until.Store(t.UnixNano())
}

// Heard returns when the last bytes came from the other end.
func (c *Conn) Heard() time.Time { return time.Unix(0, c.limited.heard.Load()) }

// Buffered reports whether a part of the next frame has been read already.
func (c *Conn) Buffered() bool { return c.r.Buffered() > 0 }

// Read reads the next frame that is not a ping. It verifies the checksums of
// control frames, but not of data: see Header.Check.
func (c *Conn) Read() (Header, []byte, error) { return c.ReadInto(nil) }

// ReadInto is Read into the memory that buffer returns (see ReadFrame).
func (c *Conn) ReadInto(buffer func(n int) []byte) (Header, []byte, error) {
	if buffer == nil {
		buffer = func(n int) []byte { return make([]byte, n) }
	}
	timed := func(n int) []byte {
		c.limited.frame = c.limited.frame.Add(time.Duration(n) * FrameTimePerKiB / 1024)
		return buffer(n)
	}
	for {
		c.limited.frame = time.Now().Add(FrameTimeout)
		h, payload, err := ReadFrame(c.r, timed)
		if err != nil {
			return h, nil, c.late(explain(err))
		}
		if h.Type == TypePing {
			continue
		}
		if h.Type != TypeData {
			if err := h.Check(payload); err != nil {
				return h, nil, err
			}
		}
		return h, payload, nil
	}
}

// Message is a control message.
type Message struct {
	Type Type
	Body any
}

// Send writes a control message.
func (c *Conn) Send(t Type, message any) error { return c.SendAll([]Message{{t, message}}) }

// SendAll writes control messages together.
func (c *Conn) SendAll(messages []Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = c.out[:0]
	for _, m := range messages {
		payload, err := json.Marshal(m.Body)
		if err != nil {
			return err
		}
		if len(payload) > MaxControl {
			return fmt.Errorf("a control message of type %d has %d bytes, more than %d", m.Type, len(payload), MaxControl)
		}
		c.out = AppendFrame(c.out, Header{Type: m.Type}, payload)
	}
	return c.write(c.out)
}

// Ack writes an Ack of the first n frames of data of a lane.
func (c *Conn) Ack(n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = AppendFrame(c.out[:0], Header{Type: TypeAck, Index: n}, nil)
	return c.write(c.out)
}

// WriteFrames writes bytes that hold whole frames, made with PutHeader or
// AppendFrame, in pieces: next says how many of the bytes that are left come now,
// and may wait before; nil: all. An error of next ends the frame in the middle, after which
// the connection is good for nothing.
func (c *Conn) WriteFrames(b []byte, next func(left int) (int, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(b) > 0 {
		n := len(b)
		if next != nil {
			var err error
			if n, err = next(n); err != nil {
				return err
			}
		}
		if err := c.write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (c *Conn) write(b []byte) error {
	_, err := c.tls.Write(b)
	c.wrote.Add(1)
	return explain(err)
}

// KeepAlive sends a ping after each PingInterval without other frames, until
// ctx ends or writing fails.
func (c *Conn) KeepAlive(ctx context.Context) error {
	ping := AppendFrame(nil, Header{Type: TypePing}, nil)
	tick := time.NewTicker(PingInterval)
	defer tick.Stop()
	last := c.wrote.Load()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if now := c.wrote.Load(); now != last || !c.mu.TryLock() {
			last = now
			continue
		}
		err := c.write(ping)
		c.mu.Unlock()
		last = c.wrote.Load()
		if err != nil {
			return err
		}
	}
}

// Abort closes the connection at once. Pending reads and writes fail. It may be
// called at any time.
func (c *Conn) Abort() { _ = c.limited.Conn.Close() }

// Close closes the connection after everything written is sent.
func (c *Conn) Close() error {
	c.Limit(time.Now().Add(5 * time.Second))
	return c.tls.Close()
}

// Decode decodes a control message. Unknown fields are ignored.
func Decode(payload []byte, message any) error {
	if err := json.Unmarshal(payload, message); err != nil {
		return protocolErrorf("a control message cannot be read: %v", err)
	}
	return nil
}

// late returns the error of a read, which a frame that takes too long has caused if
// its time is over.
func (c *Conn) late(err error) error {
	if errors.Is(err, errTimeout) && !time.Now().Before(c.limited.frame) {
		return errSlow
	}
	return err
}

func explain(err error) error {
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return fmt.Errorf("%w: %w", errTimeout, err)
	}
	return err
}
