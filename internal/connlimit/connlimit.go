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

// ranks is how many ranks there are.
const ranks = 4

// Limiter bounds the open connections of one listener. A connection may be
// evicted unless it is pinned. When there are too many, one of the lowest rank
// is closed: of the host that has most connections that may be evicted, the one
// that has been silent longest (of several such hosts, of all their
// connections); the newest where all are pinned. Safe for concurrent use.
type Limiter struct {
	// Grace is how long a connection may keep its place although it is silent:
	// as long, Track makes the next one wait. It must be set before Track.
	Grace time.Duration

	max int
	log *slog.Logger

	mu        sync.Mutex
	open      map[net.Conn]*trackedConn
	evictable [ranks]map[string]*list.List // of *trackedConn, by host, the one that has been silent longest first
	clock     uint64                       // counts what was heard
	warned    time.Time
	unsaid    int           // evictions since warned
	closed    int64         // evictions
	crowded   time.Time     // the last eviction
	freed     chan struct{} // holds a token when a place is free or a rank has changed
}

// trackedConn is an open connection.
type trackedConn struct {
	conn    net.Conn
	host    string
	rank    int
	since   time.Time     // when it got its rank
	heard   uint64        // clock when it was last heard
	element *list.Element // its place in evictable; nil while it is pinned
}

// New makes a limiter of at most limit connections.
func New(limit int, log *slog.Logger) *Limiter {
	l := &Limiter{max: limit, log: log, open: map[net.Conn]*trackedConn{}, freed: make(chan struct{}, 1)}
	for rank := range l.evictable {
		l.evictable[rank] = map[string]*list.List{}
	}
	return l
}

// Track counts a new connection of rank 0, which may be evicted until it is
// pinned. It returns false when the limit is reached and all others are pinned:
// then conn itself was closed and is not tracked.
func (l *Limiter) Track(conn net.Conn) bool {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		host = conn.RemoteAddr().String()
	}
	t := &trackedConn{conn: conn, host: host}
	for {
		taken, wait := l.track(t)
		if wait <= 0 {
			return taken
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.freed:
			timer.Stop()
		}
	}
}

// track is Track. With wait it has done nothing, and is to be called again then
// or when a place is free.
func (l *Limiter) track(t *trackedConn) (taken bool, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.max {
		victim := l.victim(t)
		if wait := l.Grace - time.Since(victim.since); wait > 0 && victim != t {
			return false, wait
		}
		l.untrack(victim)
		closeNow(victim.conn)
		l.warn(t.host)
		if victim == t {
			return false, 0
		}
	}
	t.since = time.Now()
	l.open[t.conn] = t
	l.unpin(t)
	return true, 0
}

// Raise gives a connection a higher rank, below 4: it is evicted after all
// those of lower ranks. It counts as heard.
func (l *Limiter) Raise(conn net.Conn, rank int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.open[conn]
	if t == nil || rank <= t.rank {
		return
	}
	evictable := t.element != nil
	l.pin(t)
	t.rank, t.since = rank, time.Now()
	if evictable {
		l.unpin(t)
	}
	l.signal()
}

func (l *Limiter) signal() {
	select {
	case l.freed <- struct{}{}:
	default:
	}
}

// Evicted returns how many connections were evicted since New, and when the
// last one was.
func (l *Limiter) Evicted() (n int64, last time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed, l.crowded
}

// Touch says that a connection is not silent: of its host the others are
// evicted before it.
func (l *Limiter) Touch(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.open[conn]; t != nil && t.element != nil {
		l.clock++
		t.heard = l.clock
		l.evictable[t.rank][t.host].MoveToBack(t.element)
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
	l.signal()
}

func (l *Limiter) pin(t *trackedConn) {
	if t.element == nil {
		return
	}
	ofHost := l.evictable[t.rank][t.host]
	ofHost.Remove(t.element)
	t.element = nil
	if ofHost.Len() == 0 {
		delete(l.evictable[t.rank], t.host)
	}
}

func (l *Limiter) unpin(t *trackedConn) {
	if t.element != nil {
		return
	}
	ofHost := l.evictable[t.rank][t.host]
	if ofHost == nil {
		ofHost = list.New()
		l.evictable[t.rank][t.host] = ofHost
	}
	l.clock++
	t.heard = l.clock
	t.element = ofHost.PushBack(t)
}

// victim chooses the connection to evict for a new one.
func (l *Limiter) victim(newest *trackedConn) *trackedConn {
	for _, hosts := range l.evictable {
		victim, most := newest, 0
		for _, ofHost := range hosts {
			silent := ofHost.Front().Value.(*trackedConn)
			if n := ofHost.Len(); n > most || n == most && silent.heard < victim.heard {
				victim, most = silent, n
			}
		}
		if victim != newest {
			return victim
		}
	}
	return newest
}

func (l *Limiter) warn(host string) {
	l.closed++
	l.unsaid++
	l.crowded = time.Now()
	if time.Since(l.warned) < warnEvery {
		return
	}
	l.log.Warn("too many connections; those that have been silent longest are closed", "limit", l.max, "from", host, "closed", l.unsaid)
	l.warned, l.unsaid = time.Now(), 0
}

// closeNow closes a connection without waiting for its client, as TLS would to
// send its closing alert.
func closeNow(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	_ = conn.Close()
}
