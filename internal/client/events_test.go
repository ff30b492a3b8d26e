package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/client"
)

// A broken stream is opened again after the last id, also one that came
// without an event; a refusal for good ends it.
func TestEventsGoOnWhereTheyWere(t *testing.T) {
	var calls atomic.Int32
	asked := make(chan string, 10)
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path + "?" + r.URL.RawQuery + " " + r.Header.Get("Last-Event-ID")
		switch calls.Add(1) {
		case 1:
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "retry: 1000\nid: 4\n\n: heartbeat\n\nid: 5\nevent: a\ndata: {\"x\":\ndata: 1}\n\nevent: live\ndata: {}\n\nid: 6\nevent: cut")
		case 2:
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "id: 6\nevent: b\ndata: {}\n\n: heartbeat\nid: 9\n\n")
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"status":"unauthorized","message":"gone","result":{}}`)
		}
	})
	o.Token = "secret"
	var got []string
	lost := 0
	err := open(t, o).Events(t.Context(), client.EventOptions{Types: []string{"a", "b"}, Lost: func(error) { lost++ }}, func(e client.Event) error {
		got = append(got, fmt.Sprint(e.ID, e.Type, string(e.Data)))
		return nil
	})
	if e := codeOf(t, err); e.Code != api.CodeUnauthorized || e.Message != "gone" {
		t.Errorf("it ended with %v", err)
	}
	if want := []string{"5a{\"x\":\n1}", "0live{}", "6b{}"}; !slices.Equal(got, want) || lost != 2 {
		t.Errorf("got %q, lost %d times", got, lost)
	}
	close(asked)
	var requests []string
	for r := range asked {
		requests = append(requests, r)
	}
	if want := []string{"/api/v1/events?types=a%2Cb ", "/api/v1/events?types=a%2Cb 5", "/api/v1/events?types=a%2Cb 9"}; !slices.Equal(requests, want) {
		t.Errorf("it asked %q", requests)
	}
}

func TestEventsEnd(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "id: 1\nevent: a\ndata: {}\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	c := open(t, o)

	enough := errors.New("enough")
	if err := c.Events(t.Context(), client.EventOptions{}, func(client.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the user's error became %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.Events(ctx, client.EventOptions{}, func(client.Event) error { cancel(); return nil }); err != nil {
		t.Errorf("the end of the context became %v", err)
	}
	// Silence is a broken connection. On a busy machine even the connection may
	// take longer, which shows nothing: then it may take twice as long.
	for silence, connected := 20*time.Millisecond, false; !connected; silence *= 2 {
		ctx, end := context.WithCancel(t.Context())
		var why error
		err := c.Events(ctx, client.EventOptions{Silence: silence, Connected: func() { connected = true }, Lost: func(err error) { why = err; end() }},
			func(client.Event) error { return nil })
		end()
		if connected && (err != nil || why == nil || api.ErrorOf(why).Code != api.CodeTimeout) || silence > time.Minute {
			t.Fatalf("after silence: %v, lost because of %v", err, why)
		}
	}
	// Nobody there at all is said at once.
	o.Port = 1
	if err := open(t, o).Events(t.Context(), client.EventOptions{}, func(client.Event) error { return nil }); codeOf(t, err).Code != api.CodeUnavailable {
		t.Errorf("nobody there: %v", err)
	}
}
