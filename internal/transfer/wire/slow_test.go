package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/transfer/pace"
)

// dribbler passes on what is written a few bytes at a time.
type dribbler struct {
	net.Conn
	bytes int
	every time.Duration // 0: at once
}

func (d *dribbler) Write(b []byte) (n int, err error) {
	if d.every == 0 {
		return d.Conn.Write(b)
	}
	for n < len(b) && err == nil {
		<-time.After(d.every)
		var m int
		m, err = d.Conn.Write(b[n:min(n+d.bytes, len(b))])
		n += m
	}
	return n, err
}

// A peer holds a connection for a bounded time, however slowly it sends; one on
// a line of 64 kbit/s is waited for.
func TestSlowPeersAreWaitedForWithinBounds(t *testing.T) {
	const dribble = 50 * time.Second // within IdleTimeout
	frame := AppendFrame(nil, Header{Type: TypeData}, make([]byte, MaxData))
	hello := AppendFrame(nil, Header{Type: TypeHello}, []byte(`{"minVersion":1,"maxVersion":1}`))
	client, server := identity(t), identity(t)
	for name, c := range map[string]struct {
		slowFrom string        // from where on it dribbles
		bytes    int           // at a time
		every    time.Duration // 0 is never
		within   time.Duration // that it is given
		ok       bool
	}{
		"TLS":          {"TLS", 1, time.Second, HandshakeTimeout, false},
		"hello":        {"hello", 1, time.Second, HandshakeTimeout, false},
		"header":       {"header", 1, dribble, FrameTimeout, false},
		"payload":      {"payload", 1, dribble, FrameTimeout + 1024*FrameTimePerKiB, false},
		"64 kbit/s":    {"header", 2000, time.Second, 600 * time.Second, true}, // over one of four lanes
		"not at all":   {"header", 1, time.Hour, IdleTimeout, false},
		"at full pace": {"", 0, 0, time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				d := &dribbler{Conn: far, bytes: c.bytes}
				slow := func(at string) {
					if c.slowFrom == at {
						d.every = c.every
					}
				}
				var peers sync.WaitGroup
				defer peers.Wait()
				defer far.Close()
				peers.Go(func() {
					peer := tls.Client(d, client.ClientTLS(""))
					slow("TLS")
					if peer.HandshakeContext(t.Context()) != nil {
						return
					}
					peers.Go(func() { _, _ = io.Copy(io.Discard, peer) })
					slow("hello")
					_, _ = peer.Write(hello)
					slow("header")
					_, _ = peer.Write(frame[:HeaderSize])
					slow("payload")
					_, _ = peer.Write(frame[HeaderSize:])
				})
				begin := time.Now()
				conn, err := Server(t.Context(), near, server, v1)
				if err == nil {
					_, _, err = conn.Read()
					conn.Abort()
				}
				if took := time.Since(begin); took > c.within+time.Second || (err == nil) != c.ok {
					t.Errorf("after %v: %v; within %v, ok %v is wanted", took, err, c.within, c.ok)
				}
			})
		})
	}
}

// What holds up a limiter of this end is not held against the other.
func TestPacingIsNotThePeersFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		limiter := &pace.Limiter{}
		limiter.SetRate(1)
		l := &limitedConn{Conn: near, frame: time.Now().Add(FrameTimeout)}
		l.pacing.Store(&pacing{t.Context(), limiter})
		go func() { _, _ = far.Write(make([]byte, 64<<10)) }() // which takes 8 minutes at 1 kbit/s
		if n, err := io.ReadFull(l, make([]byte, 64<<10)); err != nil {
			t.Errorf("after %d bytes: %v", n, err)
		}
		_ = near.Close()
	})
}

// A peer that reads nothing does not hold up a writer for ever.
func TestPeerThatReadsNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		l := &limitedConn{Conn: near}
		begin := time.Now()
		_, err := l.Write(make([]byte, HeaderSize))
		if took := time.Since(begin); !errors.Is(err, os.ErrDeadlineExceeded) || took != IdleTimeout {
			t.Errorf("after %v: %v", took, err)
		}
	})
}
