package middleware

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"jetstream/internal/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var silent = slog.New(slog.DiscardHandler)

// reached is a handler that counts its requests and keeps the last.
type reached struct {
	n    int
	last *http.Request
}

func (h *reached) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.n++
	h.last = r
	_, _ = io.WriteString(w, "reached")
}

// send makes a request of localhost and returns what h answers; headers are
// pairs of name and value.
func send(h http.Handler, method, target, body string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, "http://localhost"+target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// replyOf reads a reply.
func replyOf(t *testing.T, res *http.Response) api.Reply {
	t.Helper()
	var reply api.Reply
	if err := json.NewDecoder(res.Body).Decode(&reply); err != nil {
		t.Fatalf("no reply: %v", err)
	}
	return reply
}

// wantReply checks HTTP status and code of a reply, and that its message has
// these words.
func wantReply(t *testing.T, res *http.Response, status int, code api.Code, words string) {
	t.Helper()
	reply := replyOf(t, res)
	if res.StatusCode != status || reply.Status != code || !strings.Contains(reply.Message, words) {
		t.Errorf("answered %d %s %q, want %d %s %q", res.StatusCode, reply.Status, reply.Message, status, code, words)
	}
}

// calling puts a call of c and a caller (nil: none) into the context of requests
// for next, as Authenticate and Decode do.
func calling(c *api.Command, caller *api.Caller, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := withCall(r.Context(), &Call{Command: c, Params: map[string]json.RawMessage{"name": json.RawMessage(`"x"`)}})
		if caller != nil {
			ctx = api.WithCaller(ctx, *caller)
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

type nameParams struct {
	Name     string            `json:"name" doc:"A name"`
	Count    int               `json:"count" doc:"A number"`
	Tags     []string          `json:"tags" doc:"A list"`
	Data     map[string]string `json:"data" doc:"A map"`
	Password string            `json:"password" doc:"A secret" secret:"true"`
}

// command declares a command whose function is never called here.
func command(spec api.Spec) *api.Command {
	spec.Summary = "Test"
	return api.Define(spec, func(context.Context, nameParams) (api.Empty, error) { panic("carried out") })
}
