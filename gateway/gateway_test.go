package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"jetstream/internal/api"
	"jetstream/middleware"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The commands of these tests: enough to meet every rule of binding.

type echoParams struct {
	ID       string            `json:"id" doc:"Id, in the path"`
	Count    int               `json:"count" doc:"A number" default:"7" validate:"min=1,max=9"`
	Mode     string            `json:"mode" doc:"A choice" default:"fast" validate:"oneof=fast slow"`
	Force    bool              `json:"force" doc:"A switch"`
	Rate     *int64            `json:"rate" doc:"Given or not"`
	Names    []string          `json:"names" doc:"A list" validate:"max=3"`
	Data     map[string]string `json:"data" doc:"A map"`
	Password string            `json:"password" doc:"A secret" secret:"true"`
}

type echoResult struct {
	ID    string            `json:"id" doc:"Id"`
	Count int               `json:"count" doc:"Count"`
	Mode  string            `json:"mode" doc:"Mode"`
	Force bool              `json:"force" doc:"Force"`
	Rate  *int64            `json:"rate" doc:"Rate"`
	Names []string          `json:"names" doc:"Names"`
	Data  map[string]string `json:"data" doc:"Data"`
	Token string            `json:"token" doc:"A secret result" secret:"true"`
}

type nameParams struct {
	Name string `json:"name" doc:"What to do" validate:"required,max=10"`
}

func testRegistry() *api.Registry {
	return api.NewRegistry(
		api.Define(api.Spec{Name: "send.echo", Method: "POST", Path: "/send/echo/{id}", Status: 201, Message: "Echoed.",
			Summary: "Echo", Location: "/send/echo/{id}"},
			func(_ context.Context, p echoParams) (echoResult, error) {
				return echoResult{p.ID, p.Count, p.Mode, p.Force, p.Rate, p.Names, p.Data, "open sesame"}, nil
			}),
		api.Define(api.Spec{Name: "send.fail", Method: "GET", Path: "/send/fail", Summary: "Fail"},
			func(_ context.Context, p nameParams) (api.Empty, error) {
				switch p.Name {
				case "panic":
					panic("secret detail")
				case "plain":
					return api.Empty{}, errors.New("secret detail")
				case "slow":
					return api.Empty{}, &api.Error{Code: api.CodeTooManyRequests, Message: "slow down", RetryAfter: 1500 * time.Millisecond}
				}
				return api.Empty{}, api.Errorf(api.Code(p.Name), "it is %s", p.Name)
			}),
		api.Define(api.Spec{Name: "rule", Method: "POST", Path: "/rule", Summary: "Rule", Message: "Ruled.", Access: api.AccessSuperuser},
			func(context.Context, api.Empty) (api.Result[api.Empty], error) { return api.Result[api.Empty]{}, nil }),
		api.Define(api.Spec{Name: "open", Method: "GET", Path: "/open", Summary: "Open", Message: "Hello.", Access: api.AccessPublic},
			func(context.Context, api.Empty) (api.Empty, error) { return api.Empty{}, nil }),
	)
}

// fixed is a document.
type fixed []byte

func (f fixed) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(f)
}

type testAuth struct{}

func (testAuth) Password(_ context.Context, name, password, _ string) (api.Caller, error) {
	if password != "pw" {
		return api.Caller{}, api.Errorf(api.CodeUnauthorized, "user or password is wrong")
	}
	return api.Caller{User: name, Superuser: name == "root"}, nil
}

func (testAuth) Token(_ context.Context, token, actAs string) (api.Caller, error) {
	if token != "tok" {
		return api.Caller{}, api.Errorf(api.CodeUnauthorized, "no such token")
	}
	return api.Caller{User: actAs, Superuser: true, Depth: 2}, nil
}

func (testAuth) Session(_ context.Context, id string) (api.Caller, error) {
	if id != "sid" {
		return api.Caller{}, api.Errorf(api.CodeUnauthorized, "no such session")
	}
	return api.Caller{User: "ann"}, nil
}

func (testAuth) ActAs(_ context.Context, name string) (api.Caller, error) {
	if name == "nobody" {
		return api.Caller{}, api.Errorf(api.CodeUnauthorized, "there is no such user")
	}
	return api.Caller{User: name, Superuser: name == ""}, nil
}

func (testAuth) Open(_ context.Context, name, password, _ string) (string, time.Time, error) {
	if password != "pw" {
		return "", time.Time{}, api.Errorf(api.CodeUnauthorized, "user or password is wrong")
	}
	return "sid", time.Now().Add(time.Hour), nil
}

func (testAuth) Close(context.Context, string, string) {}

type fixture struct {
	t   *testing.T
	g   *Gateway
	log bytes.Buffer

	mu   sync.Mutex
	seen []string
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t}
	f.g = New(Options{
		Registry: testRegistry(), Auth: testAuth{}, Sessions: testAuth{}, Hosts: []string{"box.example"},
		Log: slog.New(slog.NewJSONHandler(&f.log, nil)),
		Capture: middleware.Capture(func(_ context.Context, r *middleware.Record) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.seen = append(f.seen, r.Caller.User+" "+string(r.Request())+" "+string(r.Status)+" "+r.Message+" "+string(r.Result))
		}),
		OpenAPI: fixed("{}"),
	})
	return f
}

// do sends one request; auth is "", "ann" (Basic), "root" or "Bearer x".
func (f *fixture) do(auth, method, target, body string, headers ...string) *http.Response {
	f.t.Helper()
	r := httptest.NewRequest(method, "http://localhost"+target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	switch {
	case strings.HasPrefix(auth, "Bearer "):
		r.Header.Set("Authorization", auth)
	case auth != "":
		r.SetBasicAuth(auth, "pw")
	}
	for i := 0; i+1 < len(headers); i += 2 { // +Name is one more of it
		if name, more := strings.CutPrefix(headers[i], "+"); more {
			r.Header.Del(headers[i])
			r.Header.Add(name, headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	f.g.ServeHTTP(w, r)
	return w.Result()
}

func (f *fixture) reply(res *http.Response) (api.Reply, map[string]any) {
	f.t.Helper()
	var reply api.Reply
	body, err := io.ReadAll(res.Body)
	if err != nil || json.Unmarshal(body, &reply) != nil {
		f.t.Fatalf("no reply in %q (%v)", body, err)
	}
	var result map[string]any
	if err := json.Unmarshal(reply.Result, &result); err != nil || result == nil {
		f.t.Fatalf("result is no object: %s", reply.Result)
	}
	return reply, result
}

func TestRouteAndEnvelopeGiveTheSame(t *testing.T) {
	f := newFixture(t)
	want := map[string]any{"id": "a/b c", "count": 3.0, "mode": "slow", "force": true, "rate": 0.0,
		"names": []any{"x"}, "data": map[string]any{"k": "v"}, "token": "open sesame"}
	rest := f.do("ann", "POST", "/api/v1/send/echo/a%2Fb%20c?count=3&force=true&names=x",
		`{"mode":"slow","rate":0,"data":{"k":"v"},"password":"hush"}`)
	envelope := f.do("ann", "POST", "/api/v1/command", `{"request":"send.echo","parameters":{"id":"a/b c","count":3,"mode":"slow",
		"force":true,"rate":0,"names":["x"],"data":{"k":"v"},"password":"hush"}}`)
	for way, res := range map[string]*http.Response{"REST": rest, "envelope": envelope} {
		reply, result := f.reply(res)
		if res.StatusCode != 201 || reply.Status != api.CodeSuccess || reply.Message != "Echoed." {
			t.Errorf("%s answered %d %s %q", way, res.StatusCode, reply.Status, reply.Message)
		}
		if diff := cmp.Diff(want, result); diff != "" {
			t.Errorf("%s: result (-want +got):\n%s", way, diff)
		}
		want := map[string]string{"REST": "a%2Fb%20c", "envelope": "send/echo/a%2Fb%20c"}[way]
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("%s: Location %q, want %q", way, got, want)
		}
	}
	if len(f.seen) != 2 || f.seen[0] != f.seen[1] {
		t.Fatalf("observers saw different things:\n%s", strings.Join(f.seen, "\n"))
	}
	const record = `ann {"request":"send.echo","parameters":{"count":3,"data":{"k":"v"},"force":true,"id":"a/b c","mode":"slow","names":["x"],"password":"***","rate":0}} success Echoed. `
	if !strings.HasPrefix(f.seen[0], record) || strings.Contains(f.seen[0], "sesame") || !strings.Contains(f.seen[0], `"token":"***"`) {
		t.Errorf("observers saw %s", f.seen[0])
	}
}

func TestAbsentMeansDefault(t *testing.T) {
	f := newFixture(t)
	_, result := f.reply(f.do("ann", "POST", "/api/v1/send/echo/x", ""))
	if result["count"] != 7.0 || result["mode"] != "fast" || result["rate"] != nil {
		t.Errorf("defaults: %v", result)
	}
}

func TestFaultsAreNamed(t *testing.T) {
	long := strings.Repeat("x", 20<<20)
	tests := []struct {
		name, auth, method, target, body string
		headers                          []string
		status                           int
		code                             api.Code
		message                          string
	}{
		{"unknown parameter", "ann", "POST", "/api/v1/send/echo/x", `{"cuont":1}`, nil, 400, "invalid", `no parameter "cuont"; did you mean count?`},
		{"unknown in query", "ann", "POST", "/api/v1/send/echo/x?zzzzzzzz=1", ``, nil, 400, "invalid", `it has id, count`},
		{"wrong type", "ann", "POST", "/api/v1/send/echo/x", `{"count":"3"}`, nil, 400, "invalid", "count must be an integer"},
		{"fraction", "ann", "POST", "/api/v1/send/echo/x", `{"count":1.5}`, nil, 400, "invalid", "count must be an integer"},
		{"beyond 64 bits", "ann", "POST", "/api/v1/send/echo/x", `{"count":99999999999999999999}`, nil, 400, "invalid", "within 64 bits"},
		{"too small", "ann", "POST", "/api/v1/send/echo/x", `{"count":0}`, nil, 400, "invalid", "count must be at least 1"},
		{"too big in query", "ann", "POST", "/api/v1/send/echo/x?count=10", ``, nil, 400, "invalid", "count must be at most 9"},
		{"no number in query", "ann", "POST", "/api/v1/send/echo/x?count=ten", ``, nil, 400, "invalid", "count must be an integer"},
		{"no choice", "ann", "POST", "/api/v1/send/echo/x", `{"mode":"warp"}`, nil, 400, "invalid", "mode must be one of fast, slow"},
		{"null", "ann", "POST", "/api/v1/send/echo/x", `{"rate":null}`, nil, 400, "invalid", "rate may not be null"},
		{"null inside", "ann", "POST", "/api/v1/send/echo/x", `{"data":{"a":null}}`, nil, 400, "invalid", "data may not be null"},
		{"no strings inside", "ann", "POST", "/api/v1/send/echo/x", `{"data":{"a":1}}`, nil, 400, "invalid", "data.a must be a string"},
		{"no strings in a list", "ann", "POST", "/api/v1/send/echo/x", `{"names":["a",1]}`, nil, 400, "invalid", "names must be a list of strings"},
		{"twice", "ann", "POST", "/api/v1/send/echo/x", `{"count":1,"count":2}`, nil, 400, "invalid", "names a member twice"},
		{"twice inside", "ann", "POST", "/api/v1/send/echo/x", `{"data":{"a":"1","a":"2"}}`, nil, 400, "invalid", "names a member twice"},
		{"twice in the query", "ann", "POST", "/api/v1/send/echo/x?count=1&count=2", ``, nil, 400, "invalid", "more than once"},
		{"query and body", "ann", "POST", "/api/v1/send/echo/x?count=1", `{"count":1}`, nil, 400, "invalid", "in the query and in the body"},
		{"path and body", "ann", "POST", "/api/v1/send/echo/x", `{"id":"y"}`, nil, 400, "invalid", "given in the path"},
		{"secret in the query", "ann", "POST", "/api/v1/send/echo/x?password=hush", ``, nil, 400, "invalid", "does not belong into the query"},
		{"list too long", "ann", "POST", "/api/v1/send/echo/x", `{"names":["a","b","c","d"]}`, nil, 400, "invalid", "at most 3 entries"},
		{"required", "ann", "GET", "/api/v1/send/fail", ``, nil, 400, "invalid", "name is required"},
		{"not JSON", "ann", "POST", "/api/v1/send/echo/x", `{"count":`, nil, 400, "invalid", "not JSON"},
		{"no object", "ann", "POST", "/api/v1/send/echo/x", `[1]`, nil, 400, "invalid", "must be a JSON object"},
		{"null body", "ann", "POST", "/api/v1/send/echo/x", `null`, nil, 400, "invalid", "must be a JSON object"},
		{"trailing", "ann", "POST", "/api/v1/send/echo/x", `{} {}`, nil, 400, "invalid", "not JSON"},
		{"bytes that are no UTF-8", "ann", "POST", "/api/v1/send/echo/x", "{\"data\":{\"a\":\"\xff\"}}", nil, 400, "invalid", "not UTF-8"},
		{"half a character", "ann", "POST", "/api/v1/send/echo/x", `{"data":{"a":"\\\ud83d\udc4d\ud83d"}}`, nil, 400, "invalid", `\ud83d`},
		{"the other half", "ann", "POST", "/api/v1/command", `{"request":"send.echo","parameters":{"data":{"\uDC4D":""}}}`, nil, 400, "invalid", `\uDC4D`},
		{"no UTF-8 in the query", "ann", "GET", "/api/v1/send/fail?name=%ff", ``, nil, 400, "invalid", "name is not UTF-8"},
		{"no UTF-8 in the path", "ann", "POST", "/api/v1/send/echo/a%ff", ``, nil, 400, "invalid", "id is not UTF-8"},
		{"two logins", "ann", "GET", "/api/v1/open", ``, []string{"+Authorization", "Bearer tok"}, 401, "unauthorized", "more than one Authorization"},
		{"a session of 20 MiB", "", "POST", "/session", `{"name":"` + long + `"}`, nil, 413, "tooLarge", "larger than 16 KiB"},
		{"20 MiB", "ann", "POST", "/api/v1/send/echo/x", `{"mode":"` + long + `"}`, nil, 413, "tooLarge", "larger than 16 MiB"},
		{"form", "ann", "POST", "/api/v1/send/echo/x", `count=1`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "invalid", "must be JSON"},
		{"body on GET", "ann", "GET", "/api/v1/send/fail", `{"name":"conflict"}`, nil, 400, "invalid", "not in a body"},
		{"method", "ann", "DELETE", "/api/v1/send/fail", ``, nil, 405, "invalid", "but GET"},
		{"method of an escaped path", "ann", "DELETE", "/api/v1/send/echo/a%2Fb", ``, nil, 405, "invalid", "but POST"},
		{"methods", "ann", "GET", "/session", ``, nil, 405, "invalid", "but POST and DELETE"},
		{"no route", "ann", "GET", "/api/v1/nowhere", ``, nil, 404, "notFound", "nothing at GET"},
		{"no page", "", "GET", "/nowhere", ``, nil, 404, "notFound", "nothing at GET"},
		{"unknown command", "ann", "POST", "/api/v1/command", `{"request":"send.ecko"}`, nil, 404, "notFound", "did you mean send.echo?"},
		{"no command", "ann", "POST", "/api/v1/command", `{}`, nil, 400, "invalid", "full name of a command"},
		{"envelope with more", "ann", "POST", "/api/v1/command", `{"request":"open","extra":1}`, nil, 400, "invalid", "has no"},
		{"parameters no object", "ann", "POST", "/api/v1/command", `{"request":"open","parameters":[]}`, nil, 400, "invalid", "must be an object"},
		{"declared failure", "ann", "GET", "/api/v1/send/fail?name=conflict", ``, nil, 409, "conflict", "it is conflict"},
		{"panic", "ann", "GET", "/api/v1/send/fail?name=panic", ``, nil, 500, "internal", "internal error"},
		{"error without code", "ann", "GET", "/api/v1/send/fail?name=plain", ``, nil, 500, "internal", "internal error"},
		{"superusers only", "ann", "POST", "/api/v1/rule", ``, nil, 403, "forbidden", "for superusers"},
		{"superusers only, envelope", "ann", "POST", "/api/v1/command", `{"request":"rule"}`, nil, 403, "forbidden", "for superusers"},
		{"no login", "", "POST", "/api/v1/send/echo/x", ``, nil, 401, "unauthorized", "log in"},
		{"no login, no route", "", "GET", "/api/v1/nowhere", ``, nil, 401, "unauthorized", "log in"},
		{"no login, envelope", "", "POST", "/api/v1/command", `{"request":"open"}`, nil, 401, "unauthorized", "log in"},
		{"wrong token at a public command", "Bearer nope", "GET", "/api/v1/open", ``, nil, 401, "unauthorized", "no such token"},
		{"foreign host", "ann", "GET", "/api/v1/open", ``, []string{"Host", "evil.example"}, 403, "forbidden", "--api-allowed-host"},
		{"foreign page", "ann", "POST", "/api/v1/send/echo/x", ``, []string{"Sec-Fetch-Site", "cross-site"}, 403, "forbidden", "another site"},
		{"foreign origin", "", "POST", "/session", `{"name":"a","password":"pw"}`, []string{"Origin", "http://evil.example"}, 403, "forbidden", "another site"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			res := f.do(tt.auth, tt.method, tt.target, tt.body, tt.headers...)
			reply, _ := f.reply(res)
			if res.StatusCode != tt.status || reply.Status != tt.code || !strings.Contains(reply.Message, tt.message) {
				t.Errorf("answered %d %s %q, want %d %s with %q", res.StatusCode, reply.Status, reply.Message, tt.status, tt.code, tt.message)
			}
			if strings.Contains(reply.Message, "secret detail") {
				t.Error("the cause was sent to the caller")
			}
			if tt.code == api.CodeInternal && !strings.Contains(f.log.String(), "secret detail") {
				t.Errorf("the cause is not in the log: %s", &f.log)
			}
		})
	}
}

// What a proxy is asked for has no path, and so nothing that it takes.
func TestNoProxy(t *testing.T) {
	f := newFixture(t)
	r := httptest.NewRequest(http.MethodConnect, "http://localhost/", nil)
	r.Host, r.URL.Path = "localhost", ""
	w := httptest.NewRecorder()
	f.g.ServeHTTP(w, r)
	if reply, _ := f.reply(w.Result()); w.Code != http.StatusNotFound || !strings.Contains(reply.Message, "nothing at CONNECT") {
		t.Errorf("answered %d %q", w.Code, reply.Message)
	}
}

// The rule of spec "on.<command>": fired for whoever may call it with
// parameters that are an object, whatever became of it; never for others.
func TestWhatObserversHearOf(t *testing.T) {
	tests := []struct {
		name, auth, method, target, body string
		heard                            bool
	}{
		{"success", "ann", "GET", "/api/v1/open", "", true},
		{"conflict", "ann", "GET", "/api/v1/send/fail?name=conflict", "", true},
		{"notFound", "ann", "GET", "/api/v1/send/fail?name=notFound", "", true},
		{"invalid", "ann", "POST", "/api/v1/send/echo/x", `{"count":"x"}`, true},
		{"panic", "ann", "GET", "/api/v1/send/fail?name=panic", "", true},
		{"stranger at a public command", "", "GET", "/api/v1/open", "", false},
		{"stranger", "", "POST", "/api/v1/send/echo/x", "", false},
		{"not permitted", "ann", "POST", "/api/v1/rule", "", false},
		{"refused by the handler", "ann", "GET", "/api/v1/send/fail?name=forbidden", "", false},
		{"unknown command", "ann", "POST", "/api/v1/command", `{"request":"nope"}`, false},
		{"unreadable body", "ann", "POST", "/api/v1/send/echo/x", `{`, false},
		{"parameters no object", "ann", "POST", "/api/v1/command", `{"request":"open","parameters":3}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.do(tt.auth, tt.method, tt.target, tt.body)
			if heard := len(f.seen) == 1; heard != tt.heard {
				t.Errorf("observers heard %q", f.seen)
			}
		})
	}
}

func TestUnknownParametersAreMasked(t *testing.T) {
	f := newFixture(t)
	f.do("ann", "POST", "/api/v1/send/echo/x", `{"pasword":"hush"}`)
	if len(f.seen) != 1 || strings.Contains(f.seen[0], "hush") || !strings.Contains(f.seen[0], `"pasword":"***"`) {
		t.Errorf("observers saw %q", f.seen)
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	f := newFixture(t)
	res := f.do("ann", "GET", "/api/v1/send/fail?name=slow", "")
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "2" {
		t.Errorf("answered %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
}

func TestRequestID(t *testing.T) {
	f := newFixture(t)
	for sent, kept := range map[string]bool{"abc-1.2_3": true, "": false, "a b": false, strings.Repeat("x", 65): false} {
		got := f.do("ann", "GET", "/api/v1/open", "", api.RequestIDHeader, sent).Header.Get(api.RequestIDHeader)
		if (got == sent) != kept || got == "" {
			t.Errorf("sent %q, got %q", sent, got)
		}
	}
	f.do("ann", "GET", "/api/v1/send/fail?name=plain", "", api.RequestIDHeader, "in-the-log")
	f.do("", "GET", "/api/v1/send/fail?name=plain", "", api.RequestIDHeader, "refused")
	if log := f.log.String(); !strings.Contains(log, `"requestId":"in-the-log"`) || strings.Contains(log, "refused") {
		t.Errorf("the log says %s", log)
	}
}

func TestDepthCanOnlyRise(t *testing.T) {
	for header, want := range map[string]int{"": 2, "1": 2, "5": 5, "-1": 2, "junk": 2, "999999": 1000} {
		var got int
		g := New(Options{Registry: testRegistry(), Auth: testAuth{}, Log: slog.New(slog.DiscardHandler),
			Capture: middleware.Capture(func(_ context.Context, r *middleware.Record) { got = r.Caller.Depth })})
		r := httptest.NewRequest("GET", "http://localhost/api/v1/open", nil)
		r.Header.Set("Authorization", "Bearer tok")
		r.Header.Set(api.DepthHeader, header)
		g.ServeHTTP(httptest.NewRecorder(), r)
		if got != want {
			t.Errorf("header %q: depth %d, want %d", header, got, want)
		}
	}
}

func TestSession(t *testing.T) {
	f := newFixture(t)
	for _, body := range []string{`{"name":"ann"}`, `{"name":"ann","password":"no"}`, `{"name":"ann","password":"pw","x":1}`, `{"name":1,"password":"pw"}`} {
		if res := f.do("", "POST", "/session", body); res.StatusCode < 400 || len(res.Cookies()) != 0 {
			t.Errorf("%s: answered %d with cookies %v", body, res.StatusCode, res.Cookies())
		}
	}
	res := f.do("", "POST", "/session", `{"name":"ann","password":"pw"}`)
	if res.StatusCode != 200 || len(res.Cookies()) != 1 {
		t.Fatalf("answered %d with %v", res.StatusCode, res.Cookies())
	}
	c := res.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.MaxAge < 3590 {
		t.Errorf("cookie %+v", c)
	}
	if res := f.do("", "GET", "/api/v1/open", "", "Cookie", c.Name+"="+c.Value); res.StatusCode != 200 {
		t.Errorf("with the cookie: %d", res.StatusCode)
	}
	if res := f.do("", "GET", "/api/v1/send/fail", "", "Cookie", c.Name+"=stale"); res.StatusCode != 401 {
		t.Errorf("with an old cookie: %d", res.StatusCode)
	}
	if res := f.do("", "GET", "/api/v1/open", "", "Cookie", c.Name+"=stale"); res.StatusCode != 200 {
		t.Errorf("an old cookie shut a public command: %d", res.StatusCode)
	}
	if res := f.do("", "DELETE", "/session", "", "Cookie", c.Name+"="+c.Value); res.StatusCode != 200 || res.Cookies()[0].MaxAge >= 0 {
		t.Errorf("signing out: %d %v", res.StatusCode, res.Cookies())
	}
}

// Everything under the prefix wants a login, whatever the method, but the
// public commands.
func TestEveryRouteWantsALogin(t *testing.T) {
	f := newFixture(t)
	for _, c := range f.g.o.Registry.All() {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
			res := f.do("", method, api.Prefix+strings.ReplaceAll(c.Path, "{id}", "x"), "")
			public := c.Access == api.AccessPublic && (method == c.Method || method == "HEAD" && c.Method == "GET")
			if public != (res.StatusCode == 200) || !public && res.StatusCode != 401 && res.StatusCode != 405 {
				t.Errorf("%s %s without login: %d", method, c.Path, res.StatusCode)
			}
		}
	}
}

// A header that cannot be read says which part of it.
func TestUnreadableLogin(t *testing.T) {
	g := New(Options{Registry: testRegistry(), Auth: testAuth{}, Sessions: testAuth{}, Log: slog.New(slog.DiscardHandler)})
	for header, want := range map[string]string{
		"Basic !!!":             "base64 of NAME:PASSWORD",
		"basic":                 "base64 of NAME:PASSWORD",
		"Basic bm90aGluZw==":    "base64 of NAME:PASSWORD", // no colon
		"Bearer":                "no token follows",
		"bearer  ":              "no token follows",
		`Digest username="ann"`: "neither Basic nor Bearer",
		"Basicx YW5uOnB3":       "neither Basic nor Bearer",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, api.Prefix+"/send/echo/x", nil)
		r.Host = "localhost"
		r.Header.Set("Authorization", header)
		g.ServeHTTP(w, r)
		var reply api.Reply
		if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || w.Code != 401 || !strings.Contains(reply.Message, want) {
			t.Errorf("%q: %d %q (%v), want %q", header, w.Code, reply.Message, err, want)
		}
		if fields := strings.Fields(header); len(fields) > 1 && strings.Contains(reply.Message, fields[1]) {
			t.Errorf("%q: the message shows the credentials: %q", header, reply.Message)
		}
	}
}
