package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"jetstream/internal/api"
)

// serveTest serves a registry on loopback; stop ends it and returns Serve's error.
func serveTest(t *testing.T, registry *api.Registry) (addr string, stop func() error) {
	t.Helper()
	g := New(Options{Registry: registry, Auth: testAuth{}, Sessions: testAuth{}, Log: slog.New(slog.DiscardHandler)})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(ctx, ln) }()
	stopped, outcome := false, error(nil)
	stop = func() error {
		cancel()
		if !stopped {
			stopped, outcome = true, <-ended
		}
		return outcome
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String(), stop
}

func TestBodyCutOff(t *testing.T) {
	addr, _ := serveTest(t, testRegistry())
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "POST /api/v1/send/echo/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer tok\r\n"+
		"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"count\":")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var reply api.Reply
	if err := json.NewDecoder(res.Body).Decode(&reply); err != nil || res.StatusCode != 400 || !strings.Contains(reply.Message, "cut off") {
		t.Errorf("%d %q, %v", res.StatusCode, reply.Message, err)
	}
}

// A server that stops answers who still waits, and returns when all are done.
func TestStopAnswersWaiters(t *testing.T) {
	entered := make(chan struct{})
	addr, stop := serveTest(t, api.NewRegistry(api.Define(
		api.Spec{Name: "wait", Method: "GET", Path: "/wait", Summary: "Wait"},
		func(ctx context.Context, _ api.Empty) (api.Empty, error) {
			close(entered)
			<-ctx.Done()
			return api.Empty{}, ctx.Err()
		})))
	type answer struct {
		status int
		reply  api.Reply
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		req, err := http.NewRequest("GET", "http://"+addr+"/api/v1/wait", nil)
		if err != nil {
			answers <- answer{err: err}
			return
		}
		req.Header.Set("Authorization", "Bearer tok")
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		res, err := transport.RoundTrip(req)
		if err != nil {
			answers <- answer{err: err}
			return
		}
		defer func() { _ = res.Body.Close() }()
		a := answer{status: res.StatusCode}
		a.err = json.NewDecoder(res.Body).Decode(&a.reply)
		answers <- a
	}()
	<-entered
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if a := <-answers; a.err != nil || a.status != 503 || a.reply.Status != api.CodeUnavailable {
		t.Errorf("the waiter got %+v", a)
	}
}
