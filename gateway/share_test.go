package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
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
		conn := dialCrowd(t, addr, by(user, "/wait"))
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		status, header, reply := answer(conn)
		if status != http.StatusTooManyRequests || header.Get("Retry-After") != "10" || !strings.Contains(reply.Message, wants) {
			t.Errorf("one wait too many of %s was answered %d %q", user, status, reply.Message)
		}
	}
	var waiting []io.Reader
	wait := func(user string) {
		waiting = append(waiting, dialCrowd(t, addr, by(user, "/wait")))
		<-begun
	}
	wait("ann")
	wait("ann")
	refused("ann", "(2, 2 of them by this user)")
	if status, _, _ := answer(dialCrowd(t, addr, by("ann", "/quick"))); status != http.StatusOK {
		t.Errorf("another command of ann was answered %d", status)
	}
	wait("bob")
	wait("cy")
	refused("dee", "(4, 0 of them by this user)")
	if status, _, _ := answer(dialCrowd(t, addr, by("dee", "/quick"))); status != http.StatusOK {
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
