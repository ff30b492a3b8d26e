package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/api"
	"jetstream/middleware"
)

// onlyKey is a Replays and a Replay that has one key for all.
type onlyKey struct {
	finish  func() // called by Finish; nil: nothing
	outcome *api.Outcome
}

func (k *onlyKey) Begin(ctx context.Context, _, _ string, _ *api.Command, _ []byte) (context.Context, middleware.Replay, *api.Outcome, error) {
	if k.outcome != nil {
		return ctx, nil, k.outcome, nil
	}
	return context.WithValue(ctx, keyContext{}, k), k, nil, nil
}

type keyContext struct{}

func (k *onlyKey) Reporting(ctx context.Context) context.Context { return ctx }

func (k *onlyKey) Finish(_ context.Context, out api.Outcome) error {
	k.outcome = &out
	if k.finish != nil {
		k.finish()
	}
	return nil
}

func (*onlyKey) End(context.Context) error { return nil }

// A request with a fault for each middleware is refused by the outermost; with
// that fault mended, by the next, down to the command.
func TestOrderOfTheMiddlewares(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	entered, observed := 0, 0
	registry := api.NewRegistry(api.Define(
		api.Spec{Name: "make", Method: "POST", Path: "/make", Status: 201, Summary: "Make", Access: api.AccessSuperuser},
		func(_ context.Context, p struct {
			api.WaitParams
			Name string `json:"name" doc:"A name" validate:"required"`
		}) (api.Empty, error) {
			if p.Name == "blocks" {
				begun <- struct{}{}
				<-release
				return api.Empty{}, nil
			}
			entered++
			return api.Empty{}, nil
		}))
	var log bytes.Buffer
	g := New(Options{
		Registry: registry, Auth: testAuth{}, Sessions: testAuth{}, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		MaxConnections: 4, // of which one may wait
		Replays:        &onlyKey{},
		Capture:        middleware.Capture(func(context.Context, *middleware.Record) { observed++ }),
	})
	send := func(r *http.Request) *http.Response {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		return w.Result()
	}
	request := func(user, body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "http://localhost"+api.Prefix+"/make", strings.NewReader(body))
		r.SetBasicAuth(user, "pw")
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	blocked := make(chan int)
	go func() { blocked <- send(request("root", `{"name":"blocks"}`)).StatusCode }()
	<-begun

	read := &readCounter{Reader: strings.NewReader(`{"name":`)}
	r := request("ann", "")
	r.Body, r.ContentLength = io.NopCloser(read), 8
	r.Host = "evil.example"
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Del("Authorization")
	r.Header.Set(api.IdempotencyHeader, "not valid")
	r.Header.Set(api.RequestIDHeader, "r-1")
	refused := func(by string, status int, words string) {
		t.Helper()
		res := send(r)
		var reply api.Reply
		if err := json.NewDecoder(res.Body).Decode(&reply); err != nil || res.StatusCode != status || !strings.Contains(reply.Message, words) {
			t.Fatalf("%s: answered %d %q (%v)", by, res.StatusCode, reply.Message, err)
		}
		if res.Header.Get(api.RequestIDHeader) != "r-1" || !strings.Contains(log.String(), "requestId=r-1") {
			t.Errorf("%s: the refusal has no request id or is not in the log", by)
		}
		log.Reset()
		if entered+observed > 0 {
			t.Fatalf("%s: a refused request reached the command or its observers", by)
		}
	}
	refused("host", 403, "not a name of this server")
	r.Host = "localhost"
	refused("origin", 403, "another site")
	r.Header.Del("Sec-Fetch-Site")
	refused("authenticate", 401, "log in")
	if read.n > 0 {
		t.Error("the body of a stranger was read")
	}
	r.SetBasicAuth("ann", "pw")
	refused("decode", 400, "not JSON")
	body := func(text string) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text)) }
	body(`{"name":""}`)
	refused("permit", 403, "for superusers")
	r.SetBasicAuth("root", "pw")
	body(`{"name":""}`)
	refused("limits", 429, "too many wait commands")
	close(release)
	if status := <-blocked; status != 201 {
		t.Fatalf("the command that waited was answered %d", status)
	}
	observed = 0
	body(`{"name":""}`)
	refused("idempotency", 400, "visible ASCII")
	r.Header.Set(api.IdempotencyHeader, "k-1")
	body(`{"name":""}`)
	if res := send(r); res.StatusCode != 400 || entered != 0 || observed != 1 {
		t.Fatalf("bind: answered %d, entered %d times, observed %d times", res.StatusCode, entered, observed)
	}
	body(`{"name":"x"}`)
	if res := send(r); res.StatusCode != 201 || entered != 1 || observed != 2 {
		t.Fatalf("answered %d, entered %d times, observed %d times", res.StatusCode, entered, observed)
	}
	body(`{"name":"x"}`)
	if res := send(r); res.StatusCode != 201 || res.Header.Get(api.ReplayedHeader) != "true" || entered != 1 || observed != 2 {
		t.Errorf("repeated: answered %d, entered %d times, observed %d times", res.StatusCode, entered, observed)
	}
}

type readCounter struct {
	io.Reader
	n int
}

func (r *readCounter) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.n += n
	return n, err
}

// On a real connection nothing of a reply arrives before the observers have
// returned and the outcome is kept for its key.
func TestNothingArrivesBeforeTheEventIsSaved(t *testing.T) {
	var conn net.Conn
	steps := make(chan string, 2)
	silent := func(step string) {
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %d bytes have arrived already (%v)", step, n, err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		steps <- step
	}
	g := New(Options{
		Registry: api.NewRegistry(api.Define(api.Spec{Name: "make", Method: "POST", Path: "/make", Status: 201, Summary: "Make", Message: "Made."},
			func(ctx context.Context, _ api.Empty) (api.Empty, error) {
				if ctx.Value(keyContext{}) == nil {
					t.Error("the command's context is not that of its key")
				}
				return api.Empty{}, nil
			})),
		Auth: testAuth{}, Sessions: testAuth{}, Log: slog.New(slog.DiscardHandler),
		Replays: &onlyKey{finish: func() { silent("finish") }},
		Capture: middleware.Capture(func(_ context.Context, r *middleware.Record) { silent("observe " + r.Message) }),
	})
	srv := httptest.NewServer(g)
	defer srv.Close()
	conn = dialAndSay(t, srv.Listener.Addr().String(), "")
	_, _ = io.WriteString(conn, "POST "+api.Prefix+"/make HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"+
		"Authorization: Bearer tok\r\nIdempotency-Key: k-1\r\n\r\n")
	for _, want := range []string{"observe Made.", "finish"} {
		if got := <-steps; got != want {
			t.Fatalf("step %q, want %q", got, want)
		}
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != 201 {
		t.Errorf("answered %d", res.StatusCode)
	}
}

// An observer may wait for a slow disk longer than a client may take to read the
// reply.
func TestAnObserverMayTakeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := servePipes(t, Options{Registry: testRegistry(), Capture: middleware.Capture(func(context.Context, *middleware.Record) {
			time.Sleep(10 * time.Minute) //nolint:forbidigo // the clock of the bubble
		})})
		conn := l.dial()
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "GET /api/v1/open HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer tok\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("answered %d %s (%v)", res.StatusCode, body, err)
		}
	})
}

func TestAnEventStreamHasNoObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := servePipes(t, Options{
			Registry: testRegistry(), Events: func(api.Caller, EventQuery) (Feed, error) { return &silence{last: 7}, nil },
			Standing: func(context.Context, string) (string, error) { return "as ever", nil },
			Capture:  middleware.Capture(func(_ context.Context, r *middleware.Record) { t.Errorf("it got the record %+v", r) }),
		})
		conn := l.dial()
		_, _ = io.WriteString(conn, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YW5uOnB3\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if hello, err := block(bufio.NewReader(res.Body)); err != nil || hello != "retry: 1000\nid: 7\n" {
			t.Errorf("%q %v", hello, err)
		}
		_ = conn.Close()
	})
}

// A result that finds no quota is a failure for the observers too.
func TestObserversSeeWhatTheCallerGets(t *testing.T) {
	var seen []api.Code
	g := New(Options{
		Registry: api.NewRegistry(api.Define(api.Spec{Name: "show", Method: "GET", Path: "/show", Summary: "Show"},
			func(context.Context, api.Empty) (struct {
				Text string `json:"text" doc:"Text"`
			}, error) {
				return struct {
					Text string `json:"text" doc:"Text"`
				}{strings.Repeat("x", 2*freeResult)}, nil
			})),
		Auth: testAuth{}, Sessions: testAuth{}, Log: slog.New(slog.DiscardHandler),
		Capture: middleware.Capture(func(_ context.Context, r *middleware.Record) { seen = append(seen, r.Status) }),
	})
	for _, used := range []int{maxResults, 0} {
		if err := g.results.Acquire("bob", used); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "http://localhost"+api.Prefix+"/show", nil)
		r.SetBasicAuth("ann", "pw")
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		g.results.Release("bob", used)
		if want := map[bool]int{true: 429, false: 200}[used > 0]; w.Code != want {
			t.Errorf("answered %d, want %d", w.Code, want)
		}
	}
	if want := []api.Code{api.CodeTooManyRequests, api.CodeSuccess}; !slices.Equal(seen, want) {
		t.Errorf("the observers saw %v, want %v", seen, want)
	}
}
