package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jetstream/internal/api"
)

// whoami is what the tests want to know of a caller.
type whoami struct {
	User      string `json:"user" doc:"Name"`
	Superuser bool   `json:"superuser" doc:"Right"`
	Depth     int    `json:"depth" doc:"Depth"`
	Peer      string `json:"peer" doc:"Peer"`
}

// whoamiRegistry has one command, which answers with its caller.
func whoamiRegistry() *api.Registry {
	return api.NewRegistry(api.Define(api.Spec{Name: "whoami", Method: "GET", Path: "/whoami", Summary: "Tell who calls", Message: "You."},
		func(ctx context.Context, _ api.Empty) (whoami, error) {
			c, _ := api.CallerOf(ctx)
			return whoami{c.User, c.Superuser, c.Depth, c.Peer}, nil
		}))
}

// peers is a listener whose connections are those of user 7.
type peers struct{ net.Listener }

type peer struct{ net.Conn }

func (p peers) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	return peer{conn}, err
}

func (peer) RemoteAddr() net.Addr { return &net.UnixAddr{Name: "uid 7"} }

// socketTest serves a registry on a control socket.
func socketTest(t *testing.T, registry *api.Registry) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "js") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	g := New(Options{Registry: registry, Auth: testAuth{}, Sessions: testAuth{}, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.ServeSocket(ctx, peers{ln}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ServeSocket: %v", err)
		}
	})
	return path
}

func TestPeerOfTheSocketNeedsNoLogin(t *testing.T) {
	path := socketTest(t, whoamiRegistry())
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	t.Cleanup(client.CloseIdleConnections)
	for _, tt := range []struct {
		what    string
		headers map[string]string
		status  int
		want    whoami
	}{
		{"no header", nil, 200, whoami{Superuser: true, Peer: "uid 7"}},
		{"acting as a user", map[string]string{api.UserHeader: "ann"}, 200, whoami{User: "ann", Peer: "uid 7"}},
		{"acting as nobody who is there", map[string]string{api.UserHeader: "nobody"}, 401, whoami{}},
		{"at a depth", map[string]string{api.DepthHeader: "3"}, 200, whoami{Superuser: true, Depth: 3, Peer: "uid 7"}},
		{"a session besides", map[string]string{"Cookie": "jetstream_session=sid"}, 200, whoami{Superuser: true, Peer: "uid 7"}},
		{"a token, which wins", map[string]string{"Authorization": "Bearer tok"}, 200, whoami{Superuser: true, Depth: 2}},
		{"a wrong token, which wins too", map[string]string{"Authorization": "Bearer other"}, 401, whoami{}},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://any.name/api/v1/whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range tt.headers {
			req.Header.Set(name, value)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var reply struct{ Result whoami }
		err = json.NewDecoder(res.Body).Decode(&reply)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != tt.status || reply.Result != tt.want {
			t.Errorf("%s: %d %+v %v, want %d %+v", tt.what, res.StatusCode, reply.Result, err, tt.status, tt.want)
		}
	}
}

// What passes for a peer on the socket is nothing on the port.
func TestPortKnowsNoPeers(t *testing.T) {
	addr, _ := serveTest(t, whoamiRegistry())
	for _, host := range []string{"localhost", "any.name"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/api/v1/whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set(api.UserHeader, "ann")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if want := map[string]int{"localhost": 401, "any.name": 403}[host]; res.StatusCode != want {
			t.Errorf("Host %s: %d, want %d", host, res.StatusCode, want)
		}
	}
}

// The socket has its own few connections: of more, the silent ones go.
func TestSocketEvictsSilentConnections(t *testing.T) {
	path := socketTest(t, whoamiRegistry())
	for range 3 * maxSocketConnections {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "GET /api/v1/whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	answer := new(strings.Builder)
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		answer.Write(buffer[:n])
		if err != nil {
			break
		}
	}
	if !strings.HasPrefix(answer.String(), "HTTP/1.1 200") {
		t.Errorf("the newest connection got %q", answer)
	}
}
