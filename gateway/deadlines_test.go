package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/api"
)

// bodyTimeout is how long a body may take, as middleware.ReadObject has it.
const bodyTimeout = time.Minute

// pipes is a listener whose connections are pipes, so that time in a synctest
// bubble goes on while both ends wait.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (l *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

// servePipes serves a gateway of these options in the bubble of the test.
func servePipes(t *testing.T, o Options) *pipes {
	t.Helper()
	o.Auth, o.Sessions, o.Log = testAuth{}, testAuth{}, slog.New(slog.DiscardHandler)
	o.Web = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	})
	g := New(o)
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l
}

// A body that never comes may not hold a connection, whoever asks.
func TestBodyThatStaysAway(t *testing.T) {
	const length = "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
	for name, tt := range map[string]struct {
		head   string
		status int
	}{
		"logged in":        {"POST /api/v1/send/echo/x HTTP/1.1\r\nAuthorization: Bearer tok\r\n", 400},
		"a stranger":       {"POST /api/v1/send/echo/x HTTP/1.1\r\n", 401},
		"the page's login": {"POST /session HTTP/1.1\r\n", 400},
		"a body with GET":  {"GET /healthz HTTP/1.1\r\n", 200},
		"no such route":    {"POST /nowhere HTTP/1.1\r\n", 404},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := servePipes(t, Options{Registry: testRegistry()}).dial()
				defer func() { _ = conn.Close() }()
				start := time.Now()
				_ = conn.SetDeadline(start.Add(time.Hour))
				if _, err := io.WriteString(conn, tt.head+"Host: localhost\r\n"+length+`{"count":`); err != nil {
					t.Fatal(err)
				}
				r := bufio.NewReader(conn)
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatalf("no answer: %v", err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != tt.status {
					t.Errorf("answered %d, want %d", res.StatusCode, tt.status)
				}
				if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
					t.Errorf("the connection is not closed: %v", err)
				}
				if d := time.Since(start); d > 2*bodyTimeout {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
}

// The bound on the body is none on the command.
func TestWaitsLongerThanABodyMayTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := servePipes(t, Options{Registry: api.NewRegistry(api.Define(
			api.Spec{Name: "wait", Method: "POST", Path: "/wait", Summary: "Wait"},
			func(ctx context.Context, _ api.Empty) (api.Empty, error) {
				select {
				case <-ctx.Done():
					return api.Empty{}, ctx.Err()
				case <-time.After(10 * bodyTimeout):
					return api.Empty{}, nil
				}
			}))})
		conn := l.dial()
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "POST /api/v1/wait HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer tok\r\n"+
			"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusOK {
			t.Errorf("answered %d", res.StatusCode)
		}
	})
}

// A stranger who asks for a page and does not read it is let go.
func TestPageThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := servePipes(t, Options{Registry: testRegistry()}).dial()
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		time.Sleep(2 * pageTimeout) //nolint:forbidigo // the bubble's clock
		if rest, err := io.ReadAll(conn); err != nil || len(rest) >= 1<<20 {
			t.Errorf("after %v all %d bytes are still sent, %v", 2*pageTimeout, len(rest), err)
		}
	})
}

// silence is a feed in which nothing happens to whom it shows.
type silence struct{ last int64 }

func (s *silence) Next(ctx context.Context) ([][]byte, error) {
	<-ctx.Done()
	s.last++ // something that the reader may not see
	return nil, ctx.Err()
}
func (s *silence) Last() int64 { return s.last }
func (s *silence) Close()      {}

// A silent stream says every 15 seconds that it is there, and where to go on.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := servePipes(t, Options{Registry: testRegistry(),
			Events:   func(api.Caller, EventQuery) (Feed, error) { return &silence{last: 7}, nil },
			Standing: func(context.Context, string) (string, error) { return "as ever", nil }})
		conn := l.dial()
		_, _ = io.WriteString(conn, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YW5uOnB3\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(res.Body)
		if hello, err := block(r); err != nil || hello != "retry: 1000\nid: 7\n" {
			t.Errorf("%q %v", hello, err)
		}
		begin := time.Now()
		for i := range 3 {
			beat, err := block(r)
			if want := fmt.Sprintf(": heartbeat\nid: %d\n", 8+i); err != nil || beat != want || time.Since(begin) != time.Duration(i+1)*15*time.Second {
				t.Errorf("after %v: %q %v, want %q", time.Since(begin), beat, err, want)
			}
		}
		_ = conn.Close()
	})
}

// A client that sends its headers byte by byte, or nothing after a request, is
// let go.
func TestClientsThatHoldTheirConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		first string
		drip  bool
		most  time.Duration
	}{
		"headers that drip":       {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ", true, readHeaderTimeout + 2*time.Second},
		"nothing at all":          {"", false, readHeaderTimeout + 2*time.Second},
		"nothing after a request": {"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", false, idleTimeout + 2*time.Second},
		"a second one that drips": {"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /", true, idleTimeout + 2*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := servePipes(t, Options{Registry: testRegistry()}).dial()
				defer func() { _ = conn.Close() }()
				begin := time.Now()
				var wg sync.WaitGroup
				wg.Go(func() {
					_, err := io.WriteString(conn, tt.first)
					for tt.drip && err == nil {
						time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
						_, err = io.WriteString(conn, "x")
					}
				})
				_, _ = io.Copy(io.Discard, conn)
				if took := time.Since(begin); took > tt.most {
					t.Errorf("it held the connection for %v", took)
				}
				wg.Wait()
			})
		})
	}
}
