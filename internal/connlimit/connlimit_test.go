package connlimit_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/connlimit"
)

// conn is a connection from a host of the test's choice.
type conn struct {
	net.Conn
	host   string
	closed bool
}

type addr string

func (addr) Network() string  { return "test" }
func (a addr) String() string { return string(a) }

func (c *conn) RemoteAddr() net.Addr { return addr(c.host) }
func (c *conn) Close() error         { c.closed = true; return nil }

func from(host string) *conn { return &conn{host: host + ":1"} }

// wantClosed checks which of the connections, by their index, are closed.
func wantClosed(t *testing.T, conns []*conn, want ...int) {
	t.Helper()
	var got []int
	for i, c := range conns {
		if c.closed {
			got = append(got, i)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("closed are %v, want %v", got, want)
	}
}

func TestTheLongestSilentIsEvicted(t *testing.T) {
	l := connlimit.New(3, slog.New(slog.DiscardHandler))
	var conns []*conn
	track := func() {
		t.Helper()
		c := from("a")
		conns = append(conns, c)
		if !l.Track(c) {
			t.Fatalf("connection %d was not taken", len(conns)-1)
		}
	}
	for range 3 {
		track()
	}
	wantClosed(t, conns)
	track()
	wantClosed(t, conns, 0)
	l.Touch(conns[1])
	track()
	wantClosed(t, conns, 0, 2)
	l.Pin(conns[3])
	l.Unpin(conns[3]) // counts as heard
	track()
	wantClosed(t, conns, 0, 1, 2)
	l.Untrack(conns[4])
	track() // in its place
	wantClosed(t, conns, 0, 1, 2)
}

func TestTheHostWithMostConnectionsPays(t *testing.T) {
	l := connlimit.New(4, slog.New(slog.DiscardHandler))
	conns := []*conn{from("b"), from("a"), from("a"), from("c"), from("c"), from("b")}
	for _, c := range conns[:4] {
		l.Track(c)
	}
	l.Track(conns[4]) // a has two
	wantClosed(t, conns, 1)
	l.Track(conns[5]) // c has two
	wantClosed(t, conns, 1, 3)
	l.Track(from("d")) // b has two, the older of them came first of all
	wantClosed(t, conns, 0, 1, 3)
	l.Track(from("e")) // each has one
	wantClosed(t, conns, 0, 1, 2, 3)
}

func TestPinnedConnectionsStay(t *testing.T) {
	l := connlimit.New(2, slog.New(slog.DiscardHandler))
	conns := []*conn{from("a"), from("a"), from("b"), from("b")}
	for _, c := range conns[:2] {
		l.Track(c)
		l.Pin(c)
	}
	if l.Track(conns[2]) {
		t.Error("one beyond the limit was taken while all others are pinned")
	}
	wantClosed(t, conns, 2)
	l.Touch(conns[2]) // not tracked any more
	l.Pin(conns[2])
	l.Unpin(conns[2])
	l.Untrack(conns[2])
	l.Unpin(conns[1])
	l.Unpin(conns[1])
	if !l.Track(conns[3]) {
		t.Error("one that could replace an unpinned connection was not taken")
	}
	wantClosed(t, conns, 1, 2)
}

// A connection with TLS is closed below it: the closing alert would wait for
// its client.
func TestTLSDoesNotDelayEviction(t *testing.T) {
	l := connlimit.New(1, slog.New(slog.DiscardHandler))
	below := from("a")
	l.Track(tls.Server(below, &tls.Config{MinVersion: tls.VersionTLS13}))
	l.Track(from("a"))
	if !below.closed {
		t.Error("it is still open")
	}
}

func TestEvictionsAreLoggedOnceAMinute(t *testing.T) {
	var text bytes.Buffer
	l := connlimit.New(1, slog.New(slog.NewTextHandler(&text, nil)))
	for range 10 {
		l.Track(from("10.0.0.1"))
	}
	if n := strings.Count(text.String(), "\n"); n != 1 || !strings.Contains(text.String(), "limit=1 from=10.0.0.1") {
		t.Errorf("%d lines: %s", n, text.String())
	}
}

func TestManyAtATime(t *testing.T) {
	const limit = 8
	l := connlimit.New(limit, slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	for i := range 4 * limit {
		wg.Go(func() {
			for range 100 {
				c := from(fmt.Sprint(i % 3))
				if !l.Track(c) {
					continue
				}
				l.Touch(c)
				l.Pin(c)
				l.Unpin(c)
				l.Untrack(c)
			}
		})
	}
	wg.Wait()
	// All have gone, so that as many again are taken and none is closed.
	var conns []*conn
	for range limit {
		conns = append(conns, from("a"))
		l.Track(conns[len(conns)-1])
	}
	wantClosed(t, conns)
}

// Those of a lower rank give way first, whatever their hosts and their silence.
func TestLowerRanksGiveWayFirst(t *testing.T) {
	l := connlimit.New(3, slog.New(slog.DiscardHandler))
	conns := []*conn{from("a"), from("a"), from("b"), from("c"), from("d"), from("e")}
	for _, c := range conns[:3] {
		l.Track(c)
	}
	l.Raise(conns[0], 2)
	l.Raise(conns[1], 1)
	l.Raise(conns[1], 0) // never lower
	l.Track(conns[3])
	wantClosed(t, conns, 2)
	l.Raise(conns[3], 3)
	l.Track(conns[4])
	wantClosed(t, conns, 1, 2)
	l.Track(conns[5])
	wantClosed(t, conns, 1, 2, 4)
	if n, _ := l.Evicted(); n != 3 {
		t.Errorf("%d are counted, want 3", n)
	}
}

// A connection keeps its place for the grace, and the next one waits as long,
// unless a place is free earlier.
func TestNextConnectionWaitsForTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := connlimit.New(1, slog.New(slog.DiscardHandler))
		l.Grace = 2 * time.Second
		conns := []*conn{from("a"), from("a"), from("a"), from("a")}
		begin := time.Now()
		l.Track(conns[0])
		l.Track(conns[1])
		if d := time.Since(begin); d != 2*time.Second {
			t.Errorf("the second waited %v", d)
		}
		wantClosed(t, conns, 0)
		go func() {
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
			l.Untrack(conns[1])
		}()
		l.Track(conns[2])
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("the third waited until %v", d)
		}
		l.Pin(conns[2])
		if l.Track(conns[3]) {
			t.Error("one was taken beside one that is pinned")
		}
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("the fourth waited until %v", d)
		}
	})
}
