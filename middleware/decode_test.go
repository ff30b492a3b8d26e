package middleware

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
)

// decoding serves Decode in front of next, by the routes of these commands.
func decoding(next http.Handler) http.Handler {
	registry := api.NewRegistry(
		command(api.Spec{Name: "send.make", Method: "POST", Path: "/things/{name}", Status: 201}),
		command(api.Spec{Name: "look", Method: "GET", Path: "/look"}),
		command(api.Spec{Name: "keep", Method: "POST", Path: "/keep"}),
	)
	r := chi.NewRouter()
	r.Route(api.Prefix, func(r chi.Router) {
		r = r.With(Decode(silent, registry))
		r.Method("POST", api.EnvelopePath, next)
		for _, c := range registry.All() {
			r.Method(c.Method, c.Path, next)
		}
		r.Method("HEAD", "/look", next)
	})
	return r
}

// Both ways of calling give the same command and the same parameters, as they
// were submitted, even where they are wrong.
func TestBothWaysOfCallingDecodeAlike(t *testing.T) {
	type call struct {
		Name   string
		Params map[string]string
	}
	for name, tt := range map[string]struct {
		method, target, body string // by its own route
		envelope             string
		want                 call
	}{
		"path, query and body": {
			"POST", "/things/a%2Fb%20c?count=3&tags=x&tags=y", `{"password":"hush","data":{"k":"v"}}`,
			`{"request":"send.make","parameters":{"name":"a/b c","count":3,"tags":["x","y"],"password":"hush","data":{"k":"v"}}}`,
			call{"send.make", map[string]string{"name": `"a/b c"`, "count": "3", "tags": `["x","y"]`, "password": `"hush"`, "data": `{"k":"v"}`}},
		},
		"nothing": {"GET", "/look", "", `{"request":"look"}`, call{"look", map[string]string{}}},
		"unknown names and wrong types": {
			"GET", "/look?count=ten&nome=1", "", `{"request":"look","parameters":{"count":"ten","nome":"1"}}`,
			call{"look", map[string]string{"count": `"ten"`, "nome": `"1"`}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var next reached
			h := decoding(&next)
			for way, res := range map[string]*http.Response{
				"route":    send(h, tt.method, api.Prefix+tt.target, tt.body),
				"envelope": send(h, "POST", api.Prefix+api.EnvelopePath, tt.envelope),
			} {
				if res.StatusCode != 200 {
					t.Fatalf("%s: %s", way, replyOf(t, res).Message)
				}
				decoded := CallOf(next.last.Context())
				got := call{decoded.Command.Name, map[string]string{}}
				for name, value := range decoded.Params {
					got.Params[name] = string(value)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", way, diff)
				}
			}
		})
	}
	var next reached
	send(decoding(&next), "HEAD", api.Prefix+"/look?count=1", "")
	if c := CallOf(next.last.Context()); c.Command.Name != "look" || string(c.Params["count"]) != "1" {
		t.Errorf("HEAD decoded to %s with %s", c.Command.Name, c.Params)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, method, target, body string
		headers                    []string
		status                     int
		code                       api.Code
		words                      string
	}{
		{"an unknown command", "POST", "/command", `{"request":"send.maek"}`, nil, 404, api.CodeNotFound, "did you mean send.make?"},
		{"no command", "POST", "/command", ``, nil, 400, api.CodeInvalid, "full name of a command"},
		{"a number", "POST", "/command", `{"request":1}`, nil, 400, api.CodeInvalid, "full name of a command"},
		{"more in the envelope", "POST", "/command", `{"request":"look","extra":1}`, nil, 400, api.CodeInvalid, `has no "extra"`},
		{"a query beside the envelope", "POST", "/command?count=1", `{"request":"look"}`, nil, 400, api.CodeInvalid, "takes no query"},
		{"parameters that are no object", "POST", "/command", `{"request":"look","parameters":[]}`, nil, 400, api.CodeInvalid, "must be an object"},
		{"parameters named twice", "POST", "/command", `{"request":"look","parameters":{"count":1,"count":2}}`, nil, 400, api.CodeInvalid, "without repeated names"},
		{"a member twice", "POST", "/keep", `{"count":1,"count":2}`, nil, 400, api.CodeInvalid, "names a member twice"},
		{"query and body", "POST", "/keep?count=1", `{"count":1}`, nil, 400, api.CodeInvalid, "in the query and in the body"},
		{"path and body", "POST", "/things/x", `{"name":"y"}`, nil, 400, api.CodeInvalid, "given in the path"},
		{"path and query", "POST", "/things/x?name=y", ``, nil, 400, api.CodeInvalid, "does not belong into the query"},
		{"a secret in the query", "POST", "/keep?password=hush", ``, nil, 400, api.CodeInvalid, "does not belong into the query"},
		{"twice in the query", "GET", "/look?count=1&count=2", ``, nil, 400, api.CodeInvalid, "more than once"},
		{"a query that cannot be read", "GET", "/look?count=%zz", ``, nil, 400, api.CodeInvalid, "cannot be read"},
		{"a query that is no text", "GET", "/look?name=%ff", ``, nil, 400, api.CodeInvalid, "name is not UTF-8"},
		{"half a character in the query", "GET", "/look?data=" + url.QueryEscape(`{"k":"\ud834"}`), ``, nil, 400, api.CodeInvalid, "one half of a character"},
		{"a path that is no text", "POST", "/things/a%ff", ``, nil, 400, api.CodeInvalid, "name is not UTF-8"},
		{"no JSON", "POST", "/keep", `{"count":`, nil, 400, api.CodeInvalid, "not JSON"},
		{"no object", "POST", "/keep", `[1]`, nil, 400, api.CodeInvalid, "must be a JSON object"},
		{"no text", "POST", "/keep", "{\"name\":\"\xff\"}", nil, 400, api.CodeInvalid, "not UTF-8"},
		{"a form", "POST", "/keep", `count=1`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, api.CodeInvalid, "must be JSON"},
		{"a body with GET", "GET", "/look", `{"count":1}`, nil, 400, api.CodeInvalid, "not in a body"},
		{"20 MiB", "POST", "/keep", `{"name":"` + strings.Repeat("x", 20<<20) + `"}`, nil, 413, api.CodeTooLarge, "larger than 16 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var next reached
			r := httptest.NewRequest(tt.method, "http://localhost"+api.Prefix+tt.target, strings.NewReader(tt.body))
			r.Header.Set("Content-Type", "application/json")
			for i := 0; i+1 < len(tt.headers); i += 2 {
				r.Header.Set(tt.headers[i], tt.headers[i+1])
			}
			w := httptest.NewRecorder()
			decoding(&next).ServeHTTP(w, r)
			wantReply(t, w.Result(), tt.status, tt.code, tt.words)
			if next.n != 0 {
				t.Error("the refused request went on")
			}
		})
	}
}

// Of large bodies, whole or in pieces, few are in memory at a time, and half of
// these of one user; small ones are not counted, and the quota is free again
// when the request has ended.
func TestLargeBodiesAreFew(t *testing.T) {
	begun, release := make(chan struct{}, 2*maxLargeBodies), make(chan struct{})
	keep := decoding(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(CallOf(r.Context()).Params["name"]) > smallBody {
			begun <- struct{}{}
			<-release
		}
		Answer(w, http.StatusOK, api.Reply{Status: api.CodeSuccess, Result: json.RawMessage("{}")})
	}))
	srv := httptest.NewServer(Authenticate(silent, &auth{}, func(*http.Request) bool { return false })(keep))
	t.Cleanup(srv.Close)
	send := func(user, path string, size int, chunked bool) (int, string) {
		body := `{"name":"` + strings.Repeat("x", size) + `"}`
		if path == api.EnvelopePath {
			body = `{"request":"keep","parameters":` + body + `}`
		}
		var from io.Reader = strings.NewReader(body)
		if chunked {
			from = io.MultiReader(from) // of unknown length
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+api.Prefix+path, from)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer tok")
		req.Header.Set(api.UserHeader, user)
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer func() { _ = res.Body.Close() }()
		return res.StatusCode, replyOf(t, res).Message
	}
	var kept sync.WaitGroup
	hold := func(user, path string, chunked bool) {
		kept.Go(func() {
			if status, message := send(user, path, 1<<20, chunked); status != http.StatusOK {
				t.Errorf("a large body of %s was answered %d %q", user, status, message)
			}
		})
		<-begun
	}
	refused := func(user, words string) {
		t.Helper()
		for _, path := range []string{"/keep", api.EnvelopePath} {
			for _, chunked := range []bool{false, true} {
				if status, message := send(user, path, 1<<20, chunked); status != http.StatusTooManyRequests || !strings.Contains(message, words) {
					t.Errorf("a large body too many of %s was answered %d %q", user, status, message)
				}
			}
		}
		if status, _ := send(user, "/keep", smallBody-100, true); status != http.StatusOK {
			t.Errorf("a small body of %s was answered %d", user, status)
		}
	}
	for i := range maxLargeBodies / 2 {
		hold("ann", []string{"/keep", api.EnvelopePath}[i%2], i%4 < 2)
	}
	refused("ann", "(8, 8 of them by this user)")
	for range maxLargeBodies / 2 {
		hold("bob", "/keep", false)
	}
	refused("cy", "(16, 0 of them by this user)")
	close(release)
	kept.Wait()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); { // until the handlers have returned, which is after the replies
		if status, _ := send("ann", "/keep", 1<<20, false); status == http.StatusOK {
			return
		}
	}
	t.Error("when the others had ended, no large body was taken")
}
