package middleware

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
)

// Whichever way a handler begins its reply, or none, the observers get its
// record once, before that.
func TestObserversRunOnceBeforeTheReply(t *testing.T) {
	fill := func(r *http.Request) *Record {
		record := CallOf(r.Context()).Record
		record.Status, record.Message = api.CodeSuccess, "Done."
		return record
	}
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    steps
	}{
		"WriteHeader": {func(w http.ResponseWriter, r *http.Request) {
			fill(r)
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, "text")
		}, steps{"first Done.", "second Done.", "reply"}},
		"Write": {func(w http.ResponseWriter, r *http.Request) {
			fill(r)
			_, _ = io.WriteString(w, "text")
			_, _ = io.WriteString(w, "more")
		}, steps{"first Done.", "second Done."}}, // the recorder's WriteHeader is not called
		"Flush": {func(w http.ResponseWriter, r *http.Request) {
			fill(r)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}, steps{"first Done.", "second Done."}},
		"nothing": {func(_ http.ResponseWriter, r *http.Request) { fill(r) }, steps{"first Done.", "second Done."}},
		"changed after it": {func(w http.ResponseWriter, r *http.Request) {
			record := fill(r)
			w.WriteHeader(http.StatusOK)
			record.Message = "Later."
		}, steps{"first Done.", "second Done.", "reply"}},
		"empty":                  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }, steps{"reply"}},
		"empty, without a reply": {func(http.ResponseWriter, *http.Request) {}, nil},
		"filled in too late": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			fill(r)
		}, steps{"reply"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got steps
			h := calling(makeCommand(), nil, Capture(
				func(_ context.Context, r *Record) { got.add("first " + r.Message) },
				func(_ context.Context, r *Record) { got.add("second " + r.Message) },
			)(tt.handler))
			send(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(&written{w, &got}, r) }), "POST", "/", "")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestARecordSaysHowLongTheCommandTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		h := calling(makeCommand(), nil, Capture(func(_ context.Context, r *Record) { took = r.Duration })(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second) //nolint:forbidigo // the clock of the bubble
			success(w, r)
		})))
		send(h, "POST", "/", "")
		if took != time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A panic in an observer ends the request; the observers are not asked again
// for what Recover answers then.
func TestAPanickingObserverIsAnInternalError(t *testing.T) {
	n := 0
	h := Recover(silent)(calling(makeCommand(), nil, Capture(func(context.Context, *Record) { n++; panic("a fault") })(http.HandlerFunc(success))))
	wantReply(t, send(h, "POST", "/", ""), 500, api.CodeInternal, "internal error")
	if n != 1 {
		t.Errorf("the observer was called %d times", n)
	}
}

// Through all wrappers of the ResponseWriter a handler can still flush and set
// deadlines.
func TestTheConnectionIsReachedThroughTheWrappers(t *testing.T) {
	var got steps
	read := make(chan struct{})
	h := calling(makeCommand(), nil, Idempotency(silent, &keys{steps: &got})(Capture()(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		rc := http.NewResponseController(w)
		_, _ = io.WriteString(w, "first")
		for _, err := range []error{rc.SetReadDeadline(time.Now().Add(time.Minute)), rc.SetWriteDeadline(time.Now().Add(time.Minute)), rc.Flush()} {
			if err != nil {
				t.Error(err)
			}
		}
		<-read // without Flush nothing would come
		if err := rc.SetWriteDeadline(time.Unix(1, 0)); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, "second")
		if err := rc.Flush(); err == nil {
			t.Error("it was sent after its deadline")
		}
	}))))
	srv := httptest.NewServer(h)
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(api.IdempotencyHeader, "k-1")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.ReadFull(res.Body, make([]byte, len("first"))); err != nil {
		t.Error(err)
	}
	close(read)
	if rest, err := io.ReadAll(res.Body); err == nil || len(rest) > 0 {
		t.Errorf("after the deadline came %q, %v", rest, err)
	}
}
