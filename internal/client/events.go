package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"jetstream/internal/api"
)

const (
	// maxEventLine bounds one line of the stream.
	maxEventLine = 16 << 20
	// The waits between attempts to connect double from the first to the last.
	reconnectFirst = time.Second
	reconnectMost  = 10 * time.Second
)

// Event is one event of a server's stream.
type Event struct {
	// ID is the event's number, 0 for events that are not stored.
	ID int64
	// Type is the event's type; "reset" means that events were missed.
	Type string
	// Data is the event's JSON object.
	Data json.RawMessage
}

// EventOptions select the events to follow.
type EventOptions struct {
	// Types selects events; empty selects all that the login may see.
	Types []string
	// After is the id to resume after; nil starts with new events.
	After *int64
	// Silence is how long the server may be silent before the connection
	// counts as broken; 0 is 45 s, which is three heartbeats.
	Silence time.Duration
	// Lost, if not nil, is called with the error of a connection that broke or
	// could not be made, before the next attempt.
	Lost func(error)
	// Connected, if not nil, is called for each connection made.
	Connected func()
}

// Events follows the server's event stream and hands every event to each, in
// order. It reconnects a broken connection and resumes after the last event. It
// returns when ctx ends (nil), when each fails (its error), when the server
// refuses for good (a wrong login, an unknown type), or when not even the first
// connection can be made.
func (c *Client) Events(ctx context.Context, o EventOptions, each func(Event) error) error {
	o.Silence = cmp.Or(o.Silence, 45*time.Second)
	f := &following{c: c, o: o, each: each}
	if o.After != nil {
		f.last, f.known = *o.After, true
	}
	wait, ever := reconnectFirst, false
	for {
		progressed, err := f.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if e, ok := errors.AsType[*stop](err); ok {
			return e.error
		}
		if ever = ever || progressed; !ever {
			return err
		}
		if progressed {
			wait = reconnectFirst
		}
		pause := wait
		if e := api.ErrorOf(err); e != nil {
			if !passes(e.Code) {
				return err
			}
			pause = max(pause, e.RetryAfter)
		}
		if o.Lost != nil {
			o.Lost(err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		wait = min(2*wait, reconnectMost)
	}
}

// passes reports whether a failure is temporary, so that a retry may succeed.
func passes(code api.Code) bool {
	switch code {
	case api.CodeUnavailable, api.CodeTimeout, api.CodeTooManyRequests, api.CodeInternal:
		return true
	}
	return false
}

// stop wraps an error of each, which ends Events.
type stop struct{ error }

// following is the state of one call of Events.
type following struct {
	c     *Client
	o     EventOptions
	each  func(Event) error
	last  int64
	known bool // last is set
}

// once follows on one connection until it breaks; progressed reports whether
// the server accepted it.
func (f *following) once(parent context.Context) (progressed bool, err error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	silence := time.AfterFunc(f.o.Silence, func() { cancel(context.DeadlineExceeded) })
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.c.url+api.EventsPath, http.NoBody)
	if err != nil {
		return false, api.Wrap(err, api.CodeInvalid, "%q is no address of a server", f.c.address)
	}
	if len(f.o.Types) > 0 {
		req.URL.RawQuery = url.Values{"types": {strings.Join(f.o.Types, ",")}}.Encode()
	}
	f.c.authorize(req)
	req.Header.Set("Accept", "text/event-stream")
	if f.known {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(f.last, 10))
	}
	resp, err := f.c.http.Do(req)
	if err != nil {
		return false, f.c.unreachable(parent, broken(ctx, err))
	}
	defer func() { _ = resp.Body.Close() }()
	if kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		if _, err := f.c.read(ctx, resp); err != nil {
			return false, err
		}
		return false, f.c.foreign(resp, nil)
	}
	if f.o.Connected != nil {
		f.o.Connected()
	}
	err = f.read(resp.Body, func() { silence.Reset(f.o.Silence) })
	if e, ok := errors.AsType[*stop](err); ok {
		return true, e
	}
	return true, f.c.unreachable(parent, broken(ctx, err))
}

// broken returns the cause of our own hang-up, if any, instead of the read error
// that it led to.
func broken(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// read parses server-sent events; heard is called for each line.
func (f *following) read(body io.Reader, heard func()) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 16<<10), maxEventLine)
	e, id := Event{}, ""
	for lines.Scan() {
		heard()
		line := lines.Bytes()
		if len(line) == 0 {
			if n, err := strconv.ParseInt(id, 10, 64); err == nil {
				e.ID = n
			}
			if e.Type != "" && len(e.Data) > 0 {
				if err := f.each(e); err != nil {
					return &stop{err}
				}
			}
			if e.ID > 0 { // an id without an event advances the cursor too
				f.last, f.known = e.ID, true
			}
			e, id = Event{}, ""
			continue
		}
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(key) {
		case "id":
			id = string(value)
		case "event":
			e.Type = string(value)
		case "data":
			if len(e.Data) > 0 {
				e.Data = append(e.Data, '\n')
			}
			e.Data = append(e.Data, value...)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.EOF
}
