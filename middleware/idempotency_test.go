package middleware

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
)

// steps is what happened, in order.
type steps []string

func (s *steps) add(step string) { *s = append(*s, step) }

// keys is a Replays and a Replay that knows one call.
type keys struct {
	steps      *steps
	earlier    *api.Outcome
	unreported bool  // of earlier
	begin      error // of Begin
	finish     error // of Finish
	claimed    string
	ended      bool
}

type markedKey struct{}

func (k *keys) Begin(ctx context.Context, owner, key string, command *api.Command, params []byte) (context.Context, Replay, *api.Outcome, error) {
	if k.begin != nil || k.earlier != nil && !k.unreported {
		return ctx, nil, k.earlier, k.begin
	}
	k.claimed = strings.Join([]string{owner, key, command.Name, string(params)}, " ")
	return context.WithValue(ctx, markedKey{}, true), k, k.earlier, nil
}

func (k *keys) Finish(ctx context.Context, out api.Outcome) error {
	k.steps.add("finish " + string(out.Result))
	return errors.Join(ctx.Err(), k.finish)
}

type reportingKey struct{}

func (k *keys) Reporting(ctx context.Context) context.Context {
	return context.WithValue(ctx, reportingKey{}, true)
}

func (k *keys) End(ctx context.Context) error {
	if !k.ended {
		k.steps.add("end")
	}
	k.ended = true
	return ctx.Err()
}

// written adds a step when the reply begins.
type written struct {
	http.ResponseWriter
	steps *steps
}

func (w *written) WriteHeader(status int) {
	w.steps.add("reply")
	w.ResponseWriter.WriteHeader(status)
}

func (w *written) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func makeCommand() *api.Command {
	return command(api.Spec{Name: "make", Method: "POST", Path: "/make", Status: 201})
}

// keyed calls make with a key, behind Recover and Idempotency and in front of an
// observer that adds a step.
func keyed(steps *steps, replays Replays, handler http.HandlerFunc, observe func(context.Context)) *http.Response {
	h := Recover(silent)(Idempotency(silent, replays)(Capture(func(ctx context.Context, _ *Record) {
		steps.add("observe")
		if observe != nil {
			observe(ctx)
		}
	})(handler)))
	h = calling(makeCommand(), &api.Caller{User: "ann"}, h)
	return send(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&written{w, steps}, r)
	}), "POST", "/", "", api.IdempotencyHeader, "k-1")
}

// success is what a handler does whose command succeeds.
func success(w http.ResponseWriter, r *http.Request) {
	call := CallOf(r.Context())
	call.Outcome = api.Outcome{Status: 201, Message: "Made.", Result: []byte(`{"id":1}`), Location: "/things/1"}
	call.Record.Status = api.CodeSuccess
	Succeed(w, r, call.Outcome)
}

func TestAReplyWithAKeyIsHeldBack(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		finish  error
		status  int
		want    steps
	}{
		"success":                     {success, nil, 201, steps{"observe", `finish {"id":1}`, "end", "reply"}},
		"success that cannot be kept": {success, errors.New("disk full"), 201, steps{"observe", `finish {"id":1}`, "end", "reply"}},
		"failure": {func(w http.ResponseWriter, r *http.Request) {
			CallOf(r.Context()).Record.Status = api.CodeConflict
			Fail(w, r, silent, api.Errorf(api.CodeConflict, "no"))
		}, nil, 409, steps{"observe", "end", "reply"}},
		"refusal":  {func(w http.ResponseWriter, r *http.Request) { Fail(w, r, silent, api.Errorf(api.CodeForbidden, "no")) }, nil, 403, steps{"end", "reply"}},
		"no reply": {func(_ http.ResponseWriter, r *http.Request) { CallOf(r.Context()).Outcome.Status = 200 }, nil, 200, steps{"finish ", "end"}},
		"panic":    {func(http.ResponseWriter, *http.Request) { panic("a fault") }, nil, 500, steps{"end", "reply"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got steps
			k := &keys{steps: &got, finish: tt.finish}
			res := keyed(&got, k, tt.handler, nil)
			if diff := cmp.Diff(tt.want, got); diff != "" || res.StatusCode != tt.status {
				t.Errorf("answered %d (-want +got):\n%s", res.StatusCode, diff)
			}
			if want := `ann k-1 make {"name":"x"}`; k.claimed != want {
				t.Errorf("claimed %s, want %s", k.claimed, want)
			}
		})
	}
}

// An observer that panics must not keep the key: nobody could use it again.
func TestAPanickingObserverReleasesTheKey(t *testing.T) {
	var got steps
	res := keyed(&got, &keys{steps: &got}, success, func(context.Context) { panic("a fault") })
	wantReply(t, res, 500, api.CodeInternal, "internal error")
	if diff := cmp.Diff(steps{"observe", "end", "reply"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAReplayReachesNeitherHandlerNorObserver(t *testing.T) {
	var got steps
	earlier := &api.Outcome{Status: 201, Message: "Made.", Result: []byte(`{"id":1}`), Location: "/things/1"}
	res := keyed(&got, &keys{steps: &got, earlier: earlier}, success, nil)
	if diff := cmp.Diff(steps{"reply"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if res.Header.Get(api.ReplayedHeader) != "true" || res.Header.Get("Location") != "api/v1/things/1" {
		t.Errorf("headers %v", res.Header)
	}
	if reply := replyOf(t, res); res.StatusCode != 201 || reply.Status != api.CodeSuccess || reply.Message != "Made." || string(reply.Result) != `{"id":1}` {
		t.Errorf("answered %d %+v", res.StatusCode, reply)
	}
}

// TestAnAnswerThatWasNotReportedIsReportedFirst: the observers hear of it, and the
// reply goes out when that is kept.
func TestAnAnswerThatWasNotReportedIsReportedFirst(t *testing.T) {
	var got steps
	earlier := &api.Outcome{Status: 201, Message: "Made.", Result: []byte(`{"id":1}`), Location: "/things/1"}
	res := keyed(&got, &keys{steps: &got, earlier: earlier, unreported: true}, func(w http.ResponseWriter, r *http.Request) {
		call := CallOf(r.Context())
		if call.Earlier != earlier {
			t.Errorf("the handler sees %v", call.Earlier)
		}
		success(w, r)
	}, nil)
	if diff := cmp.Diff(steps{"observe", `finish {"id":1}`, "end", "reply"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if res.StatusCode != 201 || res.Header.Get(api.ReplayedHeader) != "true" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

// What the handler saves belongs to the key; what observers save, such as the
// event of a failed command, does not.
func TestOnlyTheHandlersWorkBelongsToTheKey(t *testing.T) {
	var got steps
	handler := func(w http.ResponseWriter, r *http.Request) {
		if CallOf(r.Context()).HandlerContext(r.Context()).Value(markedKey{}) == nil {
			t.Error("the handler's context is not that of the key")
		}
		success(w, r)
	}
	keyed(&got, &keys{steps: &got}, handler, func(ctx context.Context) {
		if ctx.Value(markedKey{}) != nil {
			t.Error("the observer's context is that of the key")
		}
		if ctx.Value(reportingKey{}) == nil {
			t.Error("the observer's context does not report the call")
		}
	})
	if !slices.Contains(got, "observe") {
		t.Error("it was not observed")
	}
}

func TestACallerWhoHangsUpLosesNothing(t *testing.T) {
	var got steps
	ctx, hangUp := context.WithCancel(t.Context())
	observe := Capture(func(ctx context.Context, _ *Record) {
		if ctx.Err() == nil {
			got.add("observe")
		}
	})
	h := calling(makeCommand(), nil, Idempotency(silent, &keys{steps: &got})(observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hangUp()
		success(w, r)
	}))))
	r := httptest.NewRequest("POST", "/", nil).WithContext(ctx)
	r.Header.Set(api.IdempotencyHeader, "k-1")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if diff := cmp.Diff(steps{"observe", `finish {"id":1}`, "end"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKeysAreRefused(t *testing.T) {
	secret := api.Define(api.Spec{Name: "token", Method: "POST", Path: "/token", Status: 201, Summary: "Test"},
		func(context.Context, nameParams) (nameParams, error) { panic("carried out") })
	look := command(api.Spec{Name: "look", Method: "GET", Path: "/look"})
	for name, tt := range map[string]struct {
		command *api.Command
		replays Replays
		keys    []string
		status  int
		code    api.Code
		words   string
	}{
		"empty":              {makeCommand(), &keys{}, []string{""}, 400, api.CodeInvalid, "1 to 255 visible ASCII"},
		"a blank":            {makeCommand(), &keys{}, []string{"a b"}, 400, api.CodeInvalid, "1 to 255 visible ASCII"},
		"no ASCII":           {makeCommand(), &keys{}, []string{"ü"}, 400, api.CodeInvalid, "1 to 255 visible ASCII"},
		"too long":           {makeCommand(), &keys{}, []string{strings.Repeat("k", 256)}, 400, api.CodeInvalid, "1 to 255 visible ASCII"},
		"two":                {makeCommand(), &keys{}, []string{"a", "b"}, 400, api.CodeInvalid, "given once"},
		"makes nothing":      {look, &keys{}, []string{"k"}, 400, api.CodeInvalid, "look takes no Idempotency-Key"},
		"answers a secret":   {secret, &keys{}, []string{"k"}, 400, api.CodeInvalid, "token takes no Idempotency-Key"},
		"nobody keeps them":  {makeCommand(), nil, []string{"k"}, 503, api.CodeUnavailable, "keeps no answers"},
		"used for something": {makeCommand(), &keys{begin: api.Errorf(api.CodeConflict, "it was used")}, []string{"k"}, 409, api.CodeConflict, "it was used"},
	} {
		t.Run(name, func(t *testing.T) {
			var next reached
			var headers []string
			for _, k := range tt.keys {
				headers = append(headers, api.IdempotencyHeader, k)
			}
			wantReply(t, send(calling(tt.command, nil, Idempotency(silent, tt.replays)(&next)), "POST", "/", "", headers...), tt.status, tt.code, tt.words)
			if next.n != 0 {
				t.Error("the refused call went on")
			}
		})
	}
	var next reached
	send(calling(makeCommand(), nil, Idempotency(silent, nil)(&next)), "POST", "/", "")
	if next.n != 1 {
		t.Error("a call without a key was refused")
	}
}

// The fingerprint of a call with a key does not depend on how its JSON was
// written, and does on every value.
func TestOneFormOfParameters(t *testing.T) {
	form := func(text string) string {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text))
		r.Header.Set("Content-Type", "application/json")
		params, err := ReadObject(httptest.NewRecorder(), r, maxBody, nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(canonical(params))
	}
	a := form(`{"n": 9007199254740993, "m": {"b": "\u0041", "a": [1, 2]}}`)
	if b := form(`{"m":{"a":[1,2],"b":"A"},"n":9007199254740993}`); a != b {
		t.Errorf("%s and %s", a, b)
	}
	for _, other := range []string{`{"m":{"a":[1,2],"b":"A"},"n":9007199254740992}`, `{"m":{"a":[2,1],"b":"A"},"n":9007199254740993}`, `{}`} {
		if b := form(other); a == b {
			t.Errorf("%s is taken for %s", b, a)
		}
	}
	if none := string(canonical(nil)); none != form(`{}`) {
		t.Errorf("no parameters are %s, an empty object %s", none, form(`{}`))
	}
}
