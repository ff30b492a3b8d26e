//go:build unix

package main

import (
	"net"
	"sync"
	"testing"
)

// badLink is a TCP proxy to one address that can be cut, stalled or closed to
// new connections.
type badLink struct {
	listener net.Listener
	target   string
	carrying sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	passing  chan struct{} // closed while bytes pass
	refusing bool
}

func newBadLink(t *testing.T, target string) *badLink {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &badLink{listener: ln, target: target, conns: map[net.Conn]struct{}{}, passing: make(chan struct{})}
	close(l.passing)
	l.carrying.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			l.carrying.Go(func() { l.connect(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		l.cut()
		l.carrying.Wait()
	})
	return l
}

// connect carries a connection until one of its ends is closed.
func (l *badLink) connect(in net.Conn) {
	defer in.Close()
	l.mu.Lock()
	refusing := l.refusing
	l.conns[in] = struct{}{}
	l.mu.Unlock()
	defer l.forget(in)
	if refusing {
		return
	}
	out, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer out.Close()
	back := make(chan struct{})
	go func() { defer close(back); l.carry(in, out) }()
	l.carry(out, in)
	<-back
}

func (l *badLink) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		passing := l.passing
		l.mu.Unlock()
		<-passing
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (l *badLink) forget(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
}

// cut closes all connections.
func (l *badLink) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		_ = conn.Close()
	}
}

// stall lets nothing pass until the returned function is called, without
// closing anything.
func (l *badLink) stall() (over func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stalled := make(chan struct{})
	l.passing = stalled
	return func() { close(stalled) }
}

// refuse closes new connections at once, or no longer.
func (l *badLink) refuse(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusing = on
}
