package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/api"
)

// The protocol's versions that this program speaks.
const (
	MinVersion = 1
	MaxVersion = 1
)

// The protocol's times.
const (
	// HandshakeTimeout bounds TLS and Hello together.
	HandshakeTimeout = 10 * time.Second
	// IdleTimeout is how long reading or writing may make no progress.
	IdleTimeout = 60 * time.Second
	// PingInterval is how often an otherwise silent end sends a ping.
	PingInterval = 15 * time.Second
)

var errTimeout = errors.New("no progress for a minute")

// VersionError says that the two ends share no version of the protocol.
type VersionError struct{ Ours, Theirs Hello }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the two servers share no version of the transfer protocol: this one (%s) speaks %d to %d, the other (%s) %d to %d; update the older one",
		e.Ours.Software, e.Ours.MinVersion, e.Ours.MaxVersion, Clean(e.Theirs.Software), e.Theirs.MinVersion, e.Theirs.MaxVersion)
}

// Clean makes a peer's text fit for a sentence in a log or an answer: it is
// shortened to 1000 bytes and has no control characters.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, api.Shorten(s, 1000))
}

// Conn is a connection after the handshake. One goroutine may read; writing is
// safe for concurrent use.
type Conn struct {
	tls     *tls.Conn
	limited *limitedConn
	r       *bufio.Reader
	peer    Hello
	peerKey string
	version int

	mu  sync.Mutex // writing
	out []byte
	// wrote counts written frames, so that pings are sent in silence only.
	wrote atomic.Uint64
}

// limitedConn gives every read and write its own deadline, so that what
// counts is progress, not the size of a frame. An absolute limit set by until
// comes on top.
type limitedConn struct {
	net.Conn
	until atomic.Int64 // Unix nanoseconds; 0 is none
}

func (c *limitedConn) deadline() time.Time {
	d := time.Now().Add(IdleTimeout)
	if n := c.until.Load(); n != 0 && n < d.UnixNano() {
		return time.Unix(0, n)
	}
	return d
}

func (c *limitedConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(c.deadline()); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *limitedConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(c.deadline()); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Client makes the dialling end's connection: TLS, then Hello. pinned is the
// key that the peer must have, or empty. It closes nc on failure. Errors of
// interest: *KeyChangedError, *VersionError, *ProtocolError.
func Client(ctx context.Context, nc net.Conn, id *Identity, pinned string, hello Hello) (*Conn, error) {
	l := &limitedConn{Conn: nc}
	return handshake(ctx, l, tls.Client(l, id.ClientTLS(pinned)), hello)
}

// Server makes the accepting end's connection. It closes nc on failure.
func Server(ctx context.Context, nc net.Conn, id *Identity, hello Hello) (*Conn, error) {
	l := &limitedConn{Conn: nc}
	return handshake(ctx, l, tls.Server(l, id.ServerTLS()), hello)
}

func handshake(ctx context.Context, l *limitedConn, t *tls.Conn, hello Hello) (_ *Conn, err error) {
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
	if err := c.Send(TypeHello, hello); err != nil {
		return nil, err
	}
	h, payload, err := c.Read(nil)
	if err != nil {
		return nil, err
	}
	if h.Type != TypeHello {
		return nil, protocolErrorf("the peer did not begin with a hello")
	}
	if err := Decode(payload, &c.peer); err != nil {
		return nil, err
	}
	c.version = min(hello.MaxVersion, c.peer.MaxVersion)
	if c.version < max(hello.MinVersion, c.peer.MinVersion) {
		return nil, &VersionError{Ours: hello, Theirs: c.peer}
	}
	l.until.Store(0)
	return c, nil
}

// Peer is what the other end said of itself.
func (c *Conn) Peer() Hello { return c.peer }

// PeerKey is the other end's public key, proved by the TLS handshake.
func (c *Conn) PeerKey() string { return c.peerKey }

// Version is the protocol version that both ends speak.
func (c *Conn) Version() int { return c.version }

// RemoteAddr is the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.limited.RemoteAddr() }

// NetConn is the connection that Server or Client was given.
func (c *Conn) NetConn() net.Conn { return c.limited.Conn }

// Limit sets a moment after which reading and writing fail whatever the
// progress; the zero time removes it.
func (c *Conn) Limit(t time.Time) {
	if t.IsZero() {
		c.limited.until.Store(0)
		return
	}
	c.limited.until.Store(t.UnixNano())
}

// Read reads the next frame that is not a ping, using buf for its payload
// where it fits. Control frames are checked; data frames are the caller's to
// Check.
func (c *Conn) Read(buf []byte) (Header, []byte, error) {
	for {
		h, payload, err := ReadFrame(c.r, buf)
		if err != nil {
			return h, nil, explain(err)
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

// Send writes a control message.
func (c *Conn) Send(t Type, message any) error {
	return c.SendAt(Header{Type: t}, message)
}

// SendAt is Send with an index and offset in the header.
func (c *Conn) SendAt(h Header, message any) error {
	payload, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(payload) > MaxControl {
		return fmt.Errorf("a control message of type %d has %d bytes, more than %d", h.Type, len(payload), MaxControl)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = AppendFrame(c.out[:0], h, payload)
	return c.write(c.out)
}

// WriteFrames writes bytes that hold whole frames, made with PutHeader or
// AppendFrame.
func (c *Conn) WriteFrames(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write(b)
}

func (c *Conn) write(b []byte) error {
	_, err := c.tls.Write(b)
	c.wrote.Add(1)
	return explain(err)
}

// KeepAlive sends a ping after each silent interval until ctx ends or writing
// fails. A long write by another goroutine counts as a sign of life.
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

// Abort ends the connection at once; a goroutine that reads or writes gets an
// error. It may be called at any time.
func (c *Conn) Abort() { _ = c.limited.Conn.Close() }

// Close says goodbye, so that what was written last is not lost, and closes.
func (c *Conn) Close() error {
	c.Limit(time.Now().Add(5 * time.Second))
	return c.tls.Close()
}

// Decode reads a control message. Fields that are not known are ignored.
func Decode(payload []byte, message any) error {
	if err := json.Unmarshal(payload, message); err != nil {
		return protocolErrorf("a control message cannot be read: %v", err)
	}
	return nil
}

func explain(err error) error {
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return fmt.Errorf("%w: %w", errTimeout, err)
	}
	return err
}
