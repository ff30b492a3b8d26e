package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"jetstream/internal/api"
)

// serveLimited serves with a bound on connections.
func serveLimited(t *testing.T, most int, registry *api.Registry) (addr string) {
	t.Helper()
	g := New(Options{Registry: registry, Auth: testAuth{}, Sessions: testAuth{}, Log: slog.New(slog.DiscardHandler), MaxConnections: most,
		OpenAPI: fixed(make([]byte, 16<<20))}) // more than what sockets hold
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

func dialAndSay(t *testing.T, addr, says string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, says); err != nil && !closed(err) {
		t.Fatal(err)
	}
	return conn
}

// closed tells of a connection that the other end has closed.
func closed(err error) bool {
	_, broken := errors.AsType[*os.SyscallError](err)
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || broken
}

// ask sends a request over a connection of its own and wants an answer.
func ask(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := answered(conn); err != nil {
		t.Fatalf("no answer: %v", err)
	}
}

// answered sends a request over a connection of its own; nil is a good answer.
func answered(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", res.Status)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// Connections that say nothing, or never end what they say, keep nobody out
// and take no more than the bound.
func TestSilentConnectionsGiveWay(t *testing.T) {
	for _, most := range []int{8, 0} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			addr := serveLimited(t, most, testRegistry())
			if most == 0 {
				most = defaultMaxConnections
			}
			if testing.Short() && most > 1000 {
				t.Skip("opens thousands of connections")
			}
			// Both ends of each connection are in this process.
			if room := descriptors(t); room < 2*most+2000 {
				t.Skipf("this process may open %d files only", room)
			}
			const beyond = 200
			var silent []net.Conn
			for i := range most + beyond {
				silent = append(silent, dialAndSay(t, addr, []string{"", "GET /heal", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "}[i%3]))
			}
			first := dialAndSay(t, addr, "")
			ask(t, first)
			ask(t, first) // it goes on as well
			ask(t, dialAndSay(t, addr, ""))
			// Those that came first went first, and not one more than had to.
			for i, conn := range silent[:beyond+2] {
				_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
				if _, err := conn.Read(make([]byte, 1)); !closed(err) {
					t.Fatalf("connection %d of %d is still open: %v", i, len(silent), err)
				}
			}
			for _, conn := range silent[len(silent)-min(most-2, 50):] {
				_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
				if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("one of the last connections was closed too: %v", err)
				}
			}
		})
	}
}

// Who only seems to be busy keeps nobody out either: with a body that does not
// come, or an answer that is not read.
func TestStallingConnectionsGiveWay(t *testing.T) {
	const most = 8
	for name, says := range map[string]string{
		"page":          "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"session":       "POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
		"user's body":   "POST /api/v1/command HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer tok\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
		"unread body":   "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /api/v1/command HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n",
		"unread answer": "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + strings.Repeat("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 100),
	} {
		t.Run(name, func(t *testing.T) {
			addr := serveLimited(t, most, testRegistry())
			for range most {
				conn := dialAndSay(t, addr, says)
				_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
				if _, err := conn.Read(make([]byte, 1)); err != nil { // it is busy now
					t.Fatal(err)
				}
			}
			for range 2 * most {
				ask(t, dialAndSay(t, addr, ""))
			}
		})
	}
}

// Who is being served is not harmed by those who come; they are turned away
// when there are too many.
func TestServedConnectionsStay(t *testing.T) {
	const most = 4
	begun, release := make(chan struct{}, 2*most), make(chan struct{})
	addr := serveLimited(t, most, api.NewRegistry(api.Define(
		api.Spec{Name: "wait", Method: "POST", Path: "/wait", Summary: "Wait"},
		func(context.Context, api.Empty) (api.Empty, error) {
			begun <- struct{}{}
			<-release
			return api.Empty{}, nil
		})))
	const request = "POST /api/v1/wait HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer tok\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	var served []net.Conn
	for range most {
		served = append(served, dialAndSay(t, addr, request))
		<-begun
	}
	for range 20 {
		late := dialAndSay(t, addr, request)
		_ = late.SetReadDeadline(time.Now().Add(time.Minute))
		if n, err := late.Read(make([]byte, 1)); !closed(err) {
			t.Fatalf("one beyond the bound read %d bytes, %v", n, err)
		}
	}
	close(release)
	for _, conn := range served {
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("answered %d", res.StatusCode)
		}
	}
	// There is room again once they are idle, which is a moment after the
	// answers have gone out: until then those who come are turned away.
	for end := time.Now().Add(time.Minute); ; {
		late := dialAndSay(t, addr, "")
		err := answered(late)
		if err == nil {
			return
		}
		_ = late.Close()
		if !closed(err) || time.Now().After(end) {
			t.Fatalf("no room for another after the answers: %v", err)
		}
	}
}

// Event streams may not take all connections.
func TestStreamsLeaveRoom(t *testing.T) {
	s := newStreamsOf(t, 8)
	var open []*http.Response
	for range 4 {
		res := s.open("ann", "")
		if res.StatusCode != http.StatusOK {
			t.Fatalf("a stream was answered %d", res.StatusCode)
		}
		open = append(open, res)
	}
	res := s.open("ann", "")
	var reply api.Reply
	if err := json.NewDecoder(res.Body).Decode(&reply); err != nil || res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "10" || !strings.Contains(reply.Message, "4 event streams") {
		t.Errorf("a fifth was answered %d %q (%v)", res.StatusCode, reply.Message, err)
	}
	_ = open[0].Body.Close()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); { // until the server has seen it
		res, err := s.try("ann", "")
		if err == nil && res.StatusCode == http.StatusOK {
			return
		}
		if err == nil {
			_ = res.Body.Close()
		} else if !closed(err) { // turned away while those before are not idle yet
			t.Fatal(err)
		}
	}
	t.Error("a stream that ended left no room for another")
}
