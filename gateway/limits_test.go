package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"jetstream/internal/api"
)

// Wait commands take a part of the connections, and half of that by one user:
// whoever waits for much leaves others the room to wait, and all to ask.
func TestWaitsLeaveRoom(t *testing.T) {
	const most = 16 // connections, of which 4 may wait, 2 by one user
	begun, release := make(chan struct{}, most), make(chan struct{})
	registry := api.NewRegistry(
		api.Define(api.Spec{Name: "wait", Method: "GET", Path: "/wait", Summary: "Wait"},
			func(ctx context.Context, _ struct{ api.WaitParams }) (api.Empty, error) {
				begun <- struct{}{}
				select {
				case <-release:
				case <-ctx.Done():
				}
				return api.Empty{}, nil
			}),
		api.Define(api.Spec{Name: "quick", Method: "GET", Path: "/quick", Summary: "Answer"},
			func(context.Context, api.Empty) (api.Empty, error) { return api.Empty{}, nil }))
	g := New(Options{Registry: registry, Auth: testAuth{}, Sessions: testAuth{}, Log: slog.New(slog.DiscardHandler), MaxConnections: most})
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	addr := strings.TrimPrefix(srv.URL, "http://")
	by := func(user, path string) string {
		return "GET /api/v1" + path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer tok\r\nX-Jetstream-User: " + user + "\r\n\r\n"
	}
	answer := func(conn io.Reader) (int, http.Header, api.Reply) {
		t.Helper()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		var reply api.Reply
		if err := json.NewDecoder(res.Body).Decode(&reply); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, res.Header, reply
	}
	refused := func(user, wants string) {
		t.Helper()
		conn := dialAndSay(t, addr, by(user, "/wait"))
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		status, header, reply := answer(conn)
		if status != http.StatusTooManyRequests || header.Get("Retry-After") != "10" || !strings.Contains(reply.Message, wants) {
			t.Errorf("one wait too many of %s was answered %d %q", user, status, reply.Message)
		}
	}
	var waiting []io.Reader
	wait := func(user string) {
		waiting = append(waiting, dialAndSay(t, addr, by(user, "/wait")))
		<-begun
	}
	wait("ann")
	wait("ann")
	refused("ann", "(2, 2 of them by this user)")
	if status, _, _ := answer(dialAndSay(t, addr, by("ann", "/quick"))); status != http.StatusOK {
		t.Errorf("another command of ann was answered %d", status)
	}
	wait("bob")
	wait("cy")
	refused("dee", "(4, 0 of them by this user)")
	if status, _, _ := answer(dialAndSay(t, addr, by("dee", "/quick"))); status != http.StatusOK {
		t.Errorf("another command of dee was answered %d", status)
	}
	close(release)
	for _, conn := range waiting {
		if status, _, reply := answer(conn); status != http.StatusOK {
			t.Errorf("a wait was answered %d %s", status, reply.Message)
		}
	}
	wait("dee") // there is room again
}

// Large answers that their clients do not read take a part of the memory only,
// and half of that of one user; small ones need no room, and what was read gives
// its room back.
func TestLargeAnswersAreFew(t *testing.T) {
	const large = 16 << 20
	registry := api.NewRegistry(api.Define(
		api.Spec{Name: "show", Method: "GET", Path: "/show", Summary: "Show"},
		func(_ context.Context, p struct {
			Size int `json:"size" doc:"Size" validate:"min=0"`
		}) (struct {
			Text string `json:"text" doc:"Text"`
		}, error) {
			return struct {
				Text string `json:"text" doc:"Text"`
			}{strings.Repeat("x", p.Size)}, nil
		}))
	g := New(Options{Registry: registry, Auth: testAuth{}, Sessions: testAuth{}, Log: slog.New(slog.DiscardHandler)})
	g.results = newResultQuota(2*(large>>10) + 2) // two of them, one of a user
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	ask := func(user string, size int) *http.Response { // whose body is not read yet
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.(*net.TCPConn).SetReadBuffer(1 << 16) // so that the rest stays with the server
		_, _ = fmt.Fprintf(conn, "GET /api/v1/show?size=%d HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer tok\r\nX-Jetstream-User: %s\r\n\r\n", size, user)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	refused := func(user string) {
		t.Helper()
		res := ask(user, large)
		var reply api.Reply
		if err := json.NewDecoder(res.Body).Decode(&reply); err != nil || res.StatusCode != http.StatusTooManyRequests ||
			res.Header.Get("Retry-After") != "10" || !strings.Contains(reply.Message, "give a lower limit") {
			t.Errorf("a large answer too many of %s: %d %q (%v)", user, res.StatusCode, reply.Message, err)
		}
		if res := ask(user, freeResult-100); res.StatusCode != http.StatusOK {
			t.Errorf("a small answer of %s: %d", user, res.StatusCode)
		}
	}
	readWhole := func(res *http.Response, size int) {
		t.Helper()
		if n, err := io.Copy(io.Discard, res.Body); err != nil || n < int64(size) || res.StatusCode != http.StatusOK {
			t.Errorf("%d bytes were answered %d and came as %d (%v)", size, res.StatusCode, n, err)
		}
	}
	anns := ask("ann", large)
	refused("ann")
	bobs := ask("bob", large)
	refused("cy")
	readWhole(anns, large)
	readWhole(bobs, large)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); { // until the server knows that all is sent
		// Larger than all the room there is, it may come when it is the only one.
		if res := ask("ann", 3*large); res.StatusCode == http.StatusOK {
			readWhole(res, 3*large)
			return
		}
	}
	t.Error("when the others had been read, there was no room for a large answer")
}
