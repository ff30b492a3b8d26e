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
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/stream"
)

type happening struct {
	Text string `json:"text" doc:"What happened"`
}

var happened = stream.Define[happening]("thing.happened", "A thing happened.")

// streams is a gateway with a real log behind its event stream, served on a
// real port.
type streams struct {
	t        testing.TB
	log      *stream.Log
	url      string
	standing atomic.Value // string: the mark of every account; "gone" is an error
	stop     func()       // ends the server and waits for it
}

func newStreams(t testing.TB) *streams { return newStreamsOf(t, 0) }

// newStreamsOf bounds the connections.
func newStreamsOf(t testing.TB, connections int) *streams {
	t.Helper()
	db, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &streams{t: t}
	s.standing.Store("as ever")
	if s.log, err = stream.New(t.Context(), stream.Options{Store: db.Entries(), Types: []string{happened.Type}}); err != nil {
		t.Fatal(err)
	}
	g := New(Options{
		Registry: testRegistry(), Auth: testAuth{}, Sessions: testAuth{}, Log: slog.New(slog.DiscardHandler),
		MaxConnections: connections,
		Events: func(c api.Caller, q EventQuery) (Feed, error) {
			f, err := s.log.Follow(stream.Query{User: c.User, All: c.Superuser, Types: q.Types, After: q.After})
			if err != nil {
				return nil, err
			}
			return f, nil
		},
		Standing: func(context.Context, string) (string, error) {
			mark, _ := s.standing.Load().(string)
			if mark == "gone" {
				return "", api.Errorf(api.CodeNotFound, "no such user")
			}
			return mark, nil
		},
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + ln.Addr().String() + api.Prefix + api.EventsPath
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, ln) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		s.log.Close()
		s.stop()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *streams) tell(user, text string) {
	s.t.Helper()
	err := s.log.Update(context.Background(), func(tx stream.Tx) error { return happened.Append(s.log, tx, user, happening{text}) })
	if err != nil {
		s.t.Fatal(err)
	}
}

// open requests the stream as user; headers are pairs.
func (s *streams) open(user, query string, headers ...string) *http.Response {
	s.t.Helper()
	res, err := s.try(user, query, headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}

// try is open where there may be no answer.
func (s *streams) try(user, query string, headers ...string) (*http.Response, error) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, "pw")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() {
		_ = res.Body.Close()
		transport.CloseIdleConnections()
	})
	return res, nil
}

// block reads the next block of lines.
func block(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return b.String(), err
		}
		if line == "\n" {
			return b.String(), nil
		}
		b.WriteString(line)
	}
}

func (s *streams) want(r *bufio.Reader, parts ...string) {
	s.t.Helper()
	got, err := block(r)
	if err != nil {
		s.t.Fatalf("want %.200q: %v", parts, err)
	}
	for _, p := range parts {
		if !strings.Contains(got, p) {
			s.t.Errorf("block %.200q does not hold %.200q", got, p)
		}
	}
}

func TestEventStream(t *testing.T) {
	s := newStreams(t)
	s.tell("ann", "one")
	res := s.open("ann", "")
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" ||
		res.Header.Get("X-Request-Id") == "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	ann := bufio.NewReader(res.Body)
	s.want(ann, "retry: 1000\n", "id: 1\n") // the place, before anything happens
	s.tell("bob", "two")
	s.tell("ann", "three")
	s.want(ann, "id: 3\nevent: thing.happened\ndata: {", `"text":"three"`)

	again := bufio.NewReader(s.open("ann", "?lastEventId=7", "Last-Event-ID", "0").Body) // the header goes first
	s.want(again, "retry")
	s.want(again, "id: 1\n")
	s.want(again, "id: 3\n")

	all := bufio.NewReader(s.open("root", "?types=thing.happened&lastEventId=1").Body)
	s.want(all, "retry")
	s.want(all, "id: 2\n", `"user":"bob"`)
	s.want(all, "id: 3\n")

	lost := bufio.NewReader(s.open("root", "?lastEventId=1000").Body)
	s.want(lost, "retry")
	s.want(lost, "event: reset\n", "id: 3\n", `"oldestId":1`, `"lastId":3`)
}

func TestEventStreamRefuses(t *testing.T) {
	s := newStreams(t)
	for _, tt := range []struct {
		user, query string
		headers     []string
		status      int
		say         string
	}{
		{"", "", nil, 401, "log in"},
		{"ann", "?type=x", nil, 400, `has no parameter \"type\"`},
		{"ann", "?types=thing.happend", nil, 400, "did you mean thing.happened?"},
		{"ann", "?lastEventId=-1", nil, 400, "decimal number"},
		{"ann", "?lastEventId=1e3", nil, 400, "decimal number"},
		{"ann", "?lastEventId=%2B1", nil, 400, "decimal number"},
		{"ann", "?lastEventId=1&lastEventId=2", nil, 400, "more than once"},
		{"ann", "?types=thing.happened%zz", nil, 400, "cannot be read"}, // else it would be shown all
		{"ann", "?types=thing.happened;lastEventId=1", nil, 400, "cannot be read"},
		{"ann", "", []string{"Last-Event-ID", "abc"}, 400, "decimal number"},
	} {
		res := s.open(tt.user, tt.query, tt.headers...)
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != tt.status || !strings.Contains(string(body), tt.say) || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %v: %d %s (%v), want %d %q", tt.user, tt.query, tt.headers, res.StatusCode, body, err, tt.status, tt.say)
		}
	}
}

// What a stream may do is looked at again while it goes on.
func TestEventStreamEndsWithTheAccount(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*streams)
	}{
		"other password": {func(s *streams) { s.standing.Store("changed") }},
		"removed":        {func(s *streams) { s.standing.Store("gone") }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStreams(t)
			feed, err := s.log.Follow(stream.Query{User: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			defer feed.Close()
			req, err := http.NewRequestWithContext(api.WithCaller(t.Context(), api.Caller{User: "ann"}), http.MethodGet, s.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("ann", "pw")
			g := New(Options{Registry: testRegistry(), Auth: testAuth{}, Log: slog.New(slog.DiscardHandler), Standing: func(context.Context, string) (string, error) {
				mark, _ := s.standing.Load().(string)
				if mark == "gone" {
					return "", api.Errorf(api.CodeNotFound, "no such user")
				}
				return mark, nil
			}})
			entitled, err := g.entitlement(req)
			if err != nil || entitled(t.Context()) != nil {
				t.Fatalf("before: %v", err)
			}
			out := &recorder{header: http.Header{}}
			e := newEventStream(t.Context(), out)
			defer e.end()
			e.checked = time.Now().Add(-recheckEvery)
			tt.change(s)
			s.tell("ann", "secret")
			if err := e.follow(feed, true, entitled); err == nil || errors.Is(err, context.Canceled) {
				t.Errorf("the stream went on: %v", err)
			}
			if strings.Contains(out.text.String(), "secret") {
				t.Errorf("it showed %q to one who may not see it", out.text.String())
			}
		})
	}
}

// recorder is a response without a network.
type recorder struct {
	header http.Header
	text   strings.Builder
}

func (r *recorder) Header() http.Header              { return r.header }
func (r *recorder) WriteHeader(int)                  {}
func (r *recorder) Write(b []byte) (int, error)      { return r.text.Write(b) }
func (r *recorder) Flush()                           {}
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

func TestEventStreamEndsAtShutdown(t *testing.T) {
	s := newStreams(t)
	idle := bufio.NewReader(s.open("root", "").Body)
	s.want(idle, "retry")
	stuck := s.open("root", "?lastEventId=0") // reads nothing at all
	text := strings.Repeat("x", 1<<20)
	for range 16 {
		s.tell("", text)
		s.want(idle, text)
	}
	s.tell("", "the last")
	s.log.Close()
	s.want(idle, "the last")
	if b, err := block(idle); err == nil {
		t.Errorf("the stream goes on after the end with %.100q", b)
	}
	start := time.Now()
	s.stop()
	if took := time.Since(start); took > finishTime+stopTime-time.Second {
		t.Errorf("one who does not read kept the server for %s", took)
	}
	_ = stuck
}

// A client that does not read is disconnected; others notice nothing.
func TestEventStreamDisconnectsWhoDoesNotRead(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the write deadline, 10 s")
	}
	s := newStreams(t)
	slow := s.open("root", "")
	reading := bufio.NewReader(s.open("root", "").Body)
	s.want(reading, "retry")
	text := strings.Repeat("x", 1<<20)
	const pieces = 24 // more than the sockets hold
	for range pieces {
		s.tell("", text)
		s.want(reading, text)
	}
	for deadline := time.After(readWithin + 20*time.Second); ; {
		s.log.Close() // no more followers, so that the count below can only fall
		if !s.log.Followed(happened.Type) {
			break
		}
		select {
		case <-deadline:
			t.Fatal("the one who does not read is still there")
		case <-time.After(100 * time.Millisecond):
		}
	}
	if n, err := io.Copy(io.Discard, slow.Body); err == nil && n >= pieces<<20 {
		t.Errorf("the slow one got all %d bytes", n)
	}
}

// BenchmarkEventStreamClients reports what 1,000 clients of the event stream
// add to the server's memory (their own ends included), and how long an event
// takes to reach them all.
func BenchmarkEventStreamClients(b *testing.B) {
	const clients = 1000
	s := newStreams(b)
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := memory()
	seen := make(chan struct{}, clients)
	for range clients {
		r := bufio.NewReaderSize(s.open("root", "").Body, 512)
		s.want(r, "retry")
		go func() {
			for {
				if _, err := block(r); err != nil {
					return
				}
				seen <- struct{}{}
			}
		}()
	}
	added := float64(memory()-before) / (1 << 20)
	b.ResetTimer()
	for i := range b.N {
		s.tell("", fmt.Sprint(i))
		for range clients {
			<-seen
		}
	}
	b.ReportMetric(added, "MiB/1000clients")
}
