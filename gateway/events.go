package gateway

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"jetstream/internal/api"
	"jetstream/middleware"
)

const (
	// heartbeatEvery is how long a stream may be silent.
	heartbeatEvery = 15 * time.Second
	// recheckEvery is how long, while events go out, a caller counts as
	// entitled without being looked at again.
	recheckEvery = 5 * time.Second
	// readWithin is how long a client may take to read what is sent at once;
	// one that is slower is disconnected.
	readWithin = 10 * time.Second
)

// EventQuery is what a client of the event stream asks for.
type EventQuery struct {
	// Types selects events; empty selects all.
	Types []string
	// After is the last id that the client has seen; nil begins now.
	After *int64
}

// Feed is one reading of the event stream. It belongs to one goroutine.
type Feed interface {
	// Next waits for what comes next and returns it as server-sent events. An
	// error is the end, unless it is that of ctx.
	Next(ctx context.Context) ([][]byte, error)
	// Last is the id to go on after, also when events were passed over that
	// the reader does not see; 0 when there is none.
	Last() int64
	Close()
}

// events serves GET /events until the client goes, asks for the headers only, is too slow or is not
// entitled any more, or the server stops.
func (g *Gateway) events(w http.ResponseWriter, r *http.Request) {
	caller, loggedIn := api.CallerOf(r.Context())
	if err := (api.Spec{Name: "the event stream", Method: http.MethodGet}).Permit(caller, loggedIn); err != nil {
		middleware.Fail(w, r, g.log, err)
		return
	}
	q, err := eventQuery(r)
	if err != nil {
		middleware.Fail(w, r, g.log, err)
		return
	}
	entitled, err := g.entitlement(r)
	if err != nil {
		middleware.Fail(w, r, g.log, err)
		return
	}
	select {
	case g.streams <- struct{}{}:
		defer func() { <-g.streams }()
	default:
		e := api.Errorf(api.CodeTooManyRequests, "%d event streams are open, which is the limit; close one of them or try again later", cap(g.streams))
		e.RetryAfter = 10 * time.Second
		middleware.Fail(w, r, g.log, e)
		return
	}
	feed, err := g.o.Events(caller, q)
	if err != nil {
		middleware.Fail(w, r, g.log, err)
		return
	}
	defer feed.Close()
	pinConnection(r.Context())

	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies must not collect what is live
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return
	}
	s := newEventStream(r.Context(), w)
	defer s.end()
	err = s.follow(feed, q.After == nil, entitled)
	if r.Context().Err() == nil {
		g.log.DebugContext(r.Context(), "an event stream ended", "user", caller.User, "requestId", caller.RequestID, "error", err)
	}
}

// eventQuery reads what is asked for. A reconnecting browser repeats its query
// and adds the header, which therefore goes first.
func eventQuery(r *http.Request) (q EventQuery, err error) {
	query, err := middleware.ParseQuery(r)
	if err != nil {
		return q, err
	}
	last := ""
	for name, values := range query {
		switch name {
		case "types":
			for _, v := range values {
				for t := range strings.SplitSeq(v, ",") {
					if t = strings.TrimSpace(t); t != "" {
						q.Types = append(q.Types, t)
					}
				}
			}
		case "lastEventId":
			if len(values) > 1 {
				return q, api.InvalidField(name, "unique", "lastEventId is given more than once")
			}
			last = values[0]
		default:
			return q, api.InvalidField(name, "unknown", fmt.Sprintf("the event stream has no parameter %.100q; it has types and lastEventId", name))
		}
	}
	if header := r.Header.Get("Last-Event-ID"); header != "" {
		last = header
	}
	if last == "" {
		return q, nil
	}
	id, err := strconv.ParseInt(last, 10, 64)
	if err != nil || id < 0 || last[0] == '+' {
		return q, api.InvalidField("lastEventId", "type", fmt.Sprintf("%.100q is no id of an event: it is the decimal number that an event came with", last))
	}
	q.After = &id
	return q, nil
}

// entitlement returns a function that fails once the caller may not go on: a
// user that was disabled, removed, given another password or other rights, an
// ended session, a token that was revoked. It counts no wrong passwords.
func (g *Gateway) entitlement(r *http.Request) (func(context.Context) error, error) {
	caller, _ := api.CallerOf(r.Context())
	changed := api.Errorf(api.CodeUnauthorized, "the account was changed; log in again")
	if _, _, basic := r.BasicAuth(); !basic {
		return func(ctx context.Context) error {
			now, err := middleware.Reauthenticate(r.WithContext(ctx), g.o.Auth)
			if err == nil && (now.User != caller.User || now.Superuser != caller.Superuser) {
				return changed
			}
			return err
		}, nil
	}
	began, err := g.o.Standing(r.Context(), caller.User)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		now, err := g.o.Standing(ctx, caller.User)
		if err == nil && subtle.ConstantTimeCompare([]byte(now), []byte(began)) != 1 {
			return changed
		}
		return err
	}, nil
}

// eventStream writes to one client. It belongs to one goroutine.
type eventStream struct {
	ctx      context.Context //nolint:containedctx // it is the request's, for as long as the request
	w        http.ResponseWriter
	rc       *http.ResponseController
	end      func() // must be called before the handler returns
	cursor   int64  // the id that the client would go on after
	checked  time.Time
	deadline time.Time // of the next heartbeat
}

func newEventStream(ctx context.Context, w http.ResponseWriter) *eventStream {
	s := &eventStream{ctx: ctx, w: w, rc: http.NewResponseController(w), checked: time.Now()}
	// A client that does not read keeps nobody waiting when the server stops.
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cut)
		_ = s.rc.SetWriteDeadline(time.Unix(1, 0))
	})
	s.end = func() {
		if !stop() {
			<-cut // the writer may not be touched once the handler has returned
		}
	}
	return s
}

// follow copies the feed to the client, with a heartbeat where it is silent.
func (s *eventStream) follow(feed Feed, fromNow bool, entitled func(context.Context) error) error {
	// The cursor goes out first, so that nothing is lost when the connection
	// breaks before the first event.
	hello := "retry: 1000\n"
	if s.cursor = feed.Last(); fromNow && s.cursor > 0 {
		hello += "id: " + strconv.FormatInt(s.cursor, 10) + "\n"
	}
	if err := s.write([]byte(hello + "\n")); err != nil {
		return err
	}
	for {
		frames, err := s.next(feed)
		silent := errors.Is(err, context.DeadlineExceeded) && s.ctx.Err() == nil
		if err != nil && !silent {
			return err
		}
		if silent || time.Since(s.checked) >= recheckEvery {
			if err := entitled(s.ctx); err != nil {
				return err
			}
			s.checked = time.Now()
		}
		if silent {
			frames = [][]byte{s.heartbeat(feed.Last())}
		}
		if err := s.write(frames...); err != nil {
			return err
		}
		if !silent {
			s.cursor = feed.Last()
		}
	}
}

func (s *eventStream) next(feed Feed) ([][]byte, error) {
	ctx, cancel := context.WithDeadline(s.ctx, s.deadline)
	defer cancel()
	return feed.Next(ctx)
}

// heartbeat is a comment. When events were passed over that the client does
// not see, it also moves the client's cursor: else that would be too old one
// day.
func (s *eventStream) heartbeat(last int64) []byte {
	beat := ": heartbeat\n"
	if last != s.cursor {
		s.cursor = last
		beat += "id: " + strconv.FormatInt(last, 10) + "\n"
	}
	return []byte(beat + "\n")
}

func (s *eventStream) write(frames ...[]byte) error {
	now := time.Now()
	s.deadline = now.Add(heartbeatEvery)
	if err := s.rc.SetWriteDeadline(now.Add(readWithin)); err != nil {
		return err
	}
	if err := s.ctx.Err(); err != nil { // looked at after the deadline was set: else the cut could be lost
		return err
	}
	for _, f := range frames {
		if _, err := s.w.Write(f); err != nil {
			return err
		}
	}
	return s.rc.Flush()
}
