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
	"sync"
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

// Large bodies, whole or in pieces, find room for a few only, and half of that
// for one user; small ones need none, and what ended gives its room back.
func TestLargeBodiesAreFew(t *testing.T) {
	begun, release := make(chan struct{}, 2*largeBodies), make(chan struct{})
	registry := api.NewRegistry(api.Define(
		api.Spec{Name: "keep", Method: "POST", Path: "/keep", Summary: "Keep"},
		func(_ context.Context, p struct {
			Text string `json:"text" doc:"Text"`
		}) (api.Empty, error) {
			if len(p.Text) > freeBody {
				begun <- struct{}{}
				<-release
			}
			return api.Empty{}, nil
		}))
	g := New(Options{Registry: registry, Auth: testAuth{}, Sessions: testAuth{}, Log: slog.New(slog.DiscardHandler)})
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	send := func(user, door string, size int, chunked bool) (int, string) {
		body := `{"text":"` + strings.Repeat("x", size) + `"}`
		if door == "/command" {
			body = `{"request":"keep","parameters":` + body + `}`
		}
		var from io.Reader = strings.NewReader(body)
		if chunked {
			from = io.MultiReader(from) // of unknown length
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/api/v1"+door, from)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer tok")
		req.Header.Set("X-Jetstream-User", user)
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer func() { _ = res.Body.Close() }()
		var reply api.Reply
		if err := json.NewDecoder(res.Body).Decode(&reply); err != nil {
			t.Error(err)
		}
		return res.StatusCode, reply.Message
	}
	var kept sync.WaitGroup
	keep := func(user, door string, chunked bool) {
		kept.Go(func() {
			if status, message := send(user, door, 1<<20, chunked); status != http.StatusOK {
				t.Errorf("a large body of %s was answered %d %q", user, status, message)
			}
		})
		<-begun
	}
	refused := func(user, wants string) {
		t.Helper()
		for _, door := range []string{"/keep", "/command"} {
			for _, chunked := range []bool{false, true} {
				if status, message := send(user, door, 1<<20, chunked); status != http.StatusTooManyRequests || !strings.Contains(message, wants) {
					t.Errorf("a large body too many of %s was answered %d %q", user, status, message)
				}
			}
		}
		if status, _ := send(user, "/keep", freeBody-100, true); status != http.StatusOK {
			t.Errorf("a small body of %s was answered %d", user, status)
		}
	}
	for i := range largeBodies / 2 {
		keep("ann", []string{"/keep", "/command"}[i%2], i%4 < 2)
	}
	refused("ann", "(8, 8 of them by this user)")
	for range largeBodies / 2 {
		keep("bob", "/keep", false)
	}
	refused("cy", "(16, 0 of them by this user)")
	close(release)
	kept.Wait()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); { // until the requests have ended, which is after their answers
		if status, _ := send("ann", "/keep", 1<<20, false); status == http.StatusOK {
			return
		}
	}
	t.Error("when the others had ended, there was no room for a large body")
}
