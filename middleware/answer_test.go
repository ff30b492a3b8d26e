package middleware

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"jetstream/internal/api"
)

func TestAnswerWritesOneReply(t *testing.T) {
	for _, message := range []string{"Done.", `with "quotes" and <tags>`, "Größe\n"} {
		res := send(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			Answer(w, http.StatusAccepted, api.Reply{Status: api.CodeSuccess, Message: message, Result: json.RawMessage(`{"a":1}`)})
		}), "GET", "/", "")
		for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		length := res.Header.Get("Content-Length")
		if reply := replyOf(t, res); res.StatusCode != http.StatusAccepted || reply.Message != message || string(reply.Result) != `{"a":1}` {
			t.Errorf("answered %d %+v", res.StatusCode, reply)
		}
		if n, err := strconv.Atoi(length); err != nil || n < len(message) {
			t.Errorf("Content-Length: %s", length)
		}
	}
}

func TestFailSaysHowToGoOn(t *testing.T) {
	for name, tt := range map[string]struct {
		err        error
		status     int
		header     string
		value      string
		message    string
		wantFields bool
	}{
		"retry":        {&api.Error{Code: api.CodeTooManyRequests, Message: "slow down", RetryAfter: 1500 * time.Millisecond}, 429, "Retry-After", "2", "slow down", false},
		"retry at all": {api.Errorf(api.CodeTooManyRequests, "slow down"), 429, "Retry-After", "1", "slow down", false},
		"login":        {api.Errorf(api.CodeUnauthorized, "log in"), 401, "Www-Authenticate", `Bearer realm="JetStream"`, "log in", false},
		"content type": {api.InvalidField("body", ruleContentType, "must be JSON"), 415, "", "", "must be JSON", true},
		"a field":      {api.InvalidField("name", "required", "name is required"), 400, "", "", "name is required", true},
		"a fault":      {errors.New("secret detail"), 500, "", "", "internal error; the server's log has the cause under this request id", false},
	} {
		t.Run(name, func(t *testing.T) {
			res := send(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { Fail(w, r, silent, tt.err) }), "GET", "/", "")
			reply := replyOf(t, res)
			if res.StatusCode != tt.status || reply.Message != tt.message || (string(reply.Result) != "{}") != tt.wantFields {
				t.Errorf("answered %d %+v", res.StatusCode, reply)
			}
			if tt.header != "" && res.Header.Get(tt.header) != tt.value {
				t.Errorf("%s is %q", tt.header, res.Header.Get(tt.header))
			}
		})
	}
}
