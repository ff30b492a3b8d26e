// Package connlimit bounds the open connections of a listener by evicting the
// silent ones, so that nobody can keep others out by opening connections.
package connlimit

import (
	"container/list"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"
)

// warnEvery is how often the log says that connections are evicted.
const warnEvery = time.Minute

// Limiter bounds the open connections of one listener. A connection may be
// evicted unless it is pinned. When there are too many, one is closed: of the
// host that has most connections that may be evicted, the one that has been
// silent longest (of several such hosts, of all their connections); the newest
// where all are pinned. Safe for concurrent use.
type Limiter struct {
	max int
	log *slog.Logger

	mu        sync.Mutex
	open      map[net.Conn]*trackedConn
	evictable map[string]*list.List // of *trackedConn, by host, the one that has been silent longest first
	clock     uint64                // counts what was heard
	warned    time.Time
}

// trackedConn is an open connection.
type trackedConn struct {
	conn    net.Conn
	host    string
	heard   uint64        // clock when it was last heard
	element *list.Element // its place in evictable; nil while it is pinned
}

// New makes a limiter of at most limit connections.
func New(limit int, log *slog.Logger) *Limiter {
	return &Limiter{max: limit, log: log, open: map[net.Conn]*trackedConn{}, evictable: map[string]*list.List{}}
}

// Track counts a new connection, which may be evicted until it is pinned. It
// returns false when the limit is reached and all others are pinned: then conn
// itself was closed and is not tracked.
func (l *Limiter) Track(conn net.Conn) bool {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		host = conn.RemoteAddr().String()
	}
	t := &trackedConn{conn: conn, host: host}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[conn] = t
	if len(l.open) > l.max {
		victim := l.victim(t)
		l.untrack(victim)
		closeNow(victim.conn)
		l.warn(host)
		if victim == t {
			return false
		}
	}
	l.unpin(t)
	return true
}

// Touch says that a connection is not silent: of its host the others are
// evicted before it.
func (l *Limiter) Touch(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.open[conn]; t != nil && t.element != nil {
		l.clock++
		t.heard = l.clock
		l.evictable[t.host].MoveToBack(t.element)
	}
}

// Pin keeps a connection from being evicted until Unpin. It does nothing when
// the connection was evicted before.
func (l *Limiter) Pin(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.open[conn]; t != nil {
		l.pin(t)
	}
}

// Unpin lets a connection be evicted again, as the one that was silent for the
// shortest time.
func (l *Limiter) Unpin(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.open[conn]; t != nil {
		l.unpin(t)
	}
}

// Untrack ends the counting of a connection, which the caller closes.
func (l *Limiter) Untrack(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.open[conn]; t != nil {
		l.untrack(t)
	}
}

func (l *Limiter) untrack(t *trackedConn) {
	l.pin(t)
	delete(l.open, t.conn)
}

func (l *Limiter) pin(t *trackedConn) {
	if t.element == nil {
		return
	}
	ofHost := l.evictable[t.host]
	ofHost.Remove(t.element)
	t.element = nil
	if ofHost.Len() == 0 {
		delete(l.evictable, t.host)
	}
}

func (l *Limiter) unpin(t *trackedConn) {
	if t.element != nil {
		return
	}
	ofHost := l.evictable[t.host]
	if ofHost == nil {
		ofHost = list.New()
		l.evictable[t.host] = ofHost
	}
	l.clock++
	t.heard = l.clock
	t.element = ofHost.PushBack(t)
}

// victim chooses the connection to evict for a new one.
func (l *Limiter) victim(newest *trackedConn) *trackedConn {
	victim, most := newest, 0
	for _, ofHost := range l.evictable {
		silent := ofHost.Front().Value.(*trackedConn)
		if n := ofHost.Len(); n > most || n == most && silent.heard < victim.heard {
			victim, most = silent, n
		}
	}
	return victim
}

func (l *Limiter) warn(host string) {
	if time.Since(l.warned) < warnEvery {
		return
	}
	l.warned = time.Now()
	l.log.Warn("too many connections; those that have been silent longest are closed", "limit", l.max, "from", host)
}

// closeNow closes a connection without waiting for its client, as TLS would to
// send its closing alert.
func closeNow(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	_ = conn.Close()
}
