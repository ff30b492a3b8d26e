package client_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetstream/internal/api"
	"jetstream/internal/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server with handler and returns the options that reach it.
func serve(t *testing.T, handler http.HandlerFunc) client.Options {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return optionsOf(t, s.URL)
}

func optionsOf(t *testing.T, rawURL string) client.Options {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return client.Options{Host: u.Hostname(), Port: port}
}

func open(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func codeOf(t *testing.T, err error) *api.Error {
	t.Helper()
	e, ok := errors.AsType[*api.Error](err)
	if !ok {
		t.Fatalf("got error %v (%T), want an *api.Error", err, err)
	}
	return e
}

func TestCallSendsTheEnvelopeAndReadsTheReply(t *testing.T) {
	var got *http.Request
	var body []byte
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		fmt.Fprint(w, `{"status":"success","message":"Manifest requested.","result":{"manifestId":"abc"}}`)
	})
	o.Token, o.ActAs, o.User, o.Password, o.Depth = "jst..xyz", "ann", "ignored", "ignored", 3
	c := open(t, o)

	type result struct {
		ManifestID string `json:"manifestId"`
	}
	r, err := client.As[result](c.Call(t.Context(), "send.createManifest",
		map[string]any{"fileMappings": map[string]string{"/a<b": "/c"}}))
	if err != nil {
		t.Fatal(err)
	}
	if r.ManifestID != "abc" {
		t.Errorf("got manifestId %q, want abc", r.ManifestID)
	}
	if want := `{"request":"send.createManifest","parameters":{"fileMappings":{"/a<b":"/c"}}}`; string(body) != want {
		t.Errorf("sent %s, want %s", body, want)
	}
	if got.Method != "POST" || got.URL.Path != "/api/v1/command" {
		t.Errorf("called %s %s", got.Method, got.URL.Path)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer jst..xyz", "X-Jetstream-User": "ann", "X-Jetstream-Depth": "3", "Content-Type": "application/json",
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
}

func TestCallLogsIn(t *testing.T) {
	var user, password string
	var basic bool
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, basic = r.BasicAuth()
		fmt.Fprint(w, `{"status":"success","message":"","result":null}`)
	})
	if reply, err := open(t, o).Call(t.Context(), "getServerInfo", nil); err != nil || string(reply.Result) != "{}" {
		t.Fatalf("got %s, %v; want an empty object for a result of null", reply.Result, err)
	}
	if basic {
		t.Error("a login was sent though none was given")
	}
	o.User, o.Password = "ann", "pässword:with colon"
	if _, err := open(t, o).Call(t.Context(), "getServerInfo", nil); err != nil {
		t.Fatal(err)
	}
	if user != "ann" || password != "pässword:with colon" {
		t.Errorf("got login %q %q", user, password)
	}
}

func TestGetReadsARouteWithoutLogin(t *testing.T) {
	var got *http.Request
	c := open(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		fmt.Fprint(w, `{"status":"success","message":"","result":{"authRequired":true}}`)
	}))
	reply, err := c.Get(t.Context(), "/server")
	if err != nil || string(reply.Result) != `{"authRequired":true}` {
		t.Fatalf("got %s, %v", reply.Result, err)
	}
	if got.Method != "GET" || got.URL.Path != "/api/v1/server" || got.Header.Get("Authorization") != "" || c.LoggedIn() {
		t.Errorf("called %s %s with login %q", got.Method, got.URL.Path, got.Header.Get("Authorization"))
	}
}

func TestFailureKeepsCodeMessageAndFields(t *testing.T) {
	o := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(429)
		fmt.Fprint(w, `{"status":"tooManyRequests","message":"slow down","result":{"fields":[{"field":"name","rule":"required","message":"name is required"}]}}`)
	})
	_, err := open(t, o).Call(t.Context(), "createUser", nil)
	e := codeOf(t, err)
	if e.Code != api.CodeTooManyRequests || e.Message != "slow down" || e.RetryAfter != 7*time.Second {
		t.Errorf("got %+v", e)
	}
	if len(e.Fields) != 1 || e.Fields[0] != (api.FieldError{Field: "name", Rule: "required", Message: "name is required"}) {
		t.Errorf("got fields %+v", e.Fields)
	}
}

func TestUnauthorizedWithoutLoginNamesTheWays(t *testing.T) {
	o := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(401)
		fmt.Fprint(w, `{"status":"unauthorized","message":"server's own words","result":{}}`)
	})
	_, err := open(t, o).Call(t.Context(), "getUsers", nil)
	e := codeOf(t, err)
	for _, way := range []string{"--user", "JETSTREAM_API_PASSWORD", "JETSTREAM_API_TOKEN"} {
		if !strings.Contains(e.Message, way) {
			t.Errorf("%q does not name %s", e.Message, way)
		}
	}
	o.User, o.Password = "ann", "wrong"
	if _, err = open(t, o).Call(t.Context(), "getUsers", nil); codeOf(t, err).Message != "server's own words" {
		t.Errorf("got %v, want the server's words for a wrong login", err)
	}
}

func TestFaultsOnTheWay(t *testing.T) {
	const gone = 1 // no program takes it by chance
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":"success","message":"","result":{}}`)
	}))
	t.Cleanup(secure.Close)
	overTLS := optionsOf(t, secure.URL)
	untrusted := overTLS
	untrusted.TLS = true

	plain := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") })
	plainByTLS := plain
	plainByTLS.TLS = true

	tests := []struct {
		name string
		o    client.Options
		code api.Code
		says string
	}{
		{"nobody listens", client.Options{Host: "127.0.0.1", Port: gone}, api.CodeUnavailable, fmt.Sprintf("no JetStream server answers at 127.0.0.1:%d", gone)},
		{"another service", plain, api.CodeUnavailable, "is no JetStream server"},
		{"TLS to a plain port", plainByTLS, api.CodeUnavailable, "speaks no TLS"},
		{"plain to a TLS port", overTLS, api.CodeUnavailable, "speaks TLS only"},
		{"untrusted certificate", untrusted, api.CodeUnavailable, "not trusted"},
		{"unknown name", client.Options{Host: "no-such-host.invalid"}, api.CodeUnavailable, "no-such-host.invalid"},
		{"hangs up", serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), api.CodeUnavailable, "hung up"},
		{"redirect", serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}), api.CodeUnavailable, "HTTP 302"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := open(t, tt.o).Call(t.Context(), "getServerInfo", nil)
			e := codeOf(t, err)
			if e.Code != tt.code || !strings.Contains(e.Message, tt.says) {
				t.Errorf("got %s %q, want %s with %q", e.Code, e.Message, tt.code, tt.says)
			}
		})
	}
}

func TestCAFileIsTrusted(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":"success","message":"","result":{}}`)
	}))
	t.Cleanup(s.Close)
	o := optionsOf(t, s.URL)
	o.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(o.CAFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, o).Call(t.Context(), "getServerInfo", nil); err != nil {
		t.Error(err)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]client.Options{
		"port":       {Port: 70000},
		"host":       {Host: "http://x"},
		"token":      {Token: "a\r\nX-Evil: 1"},
		"CA missing": {CAFile: filepath.Join(t.TempDir(), "none.pem")},
		"CA empty":   {CAFile: empty},
	} {
		if _, err := client.New(o); codeOf(t, err).Code != api.CodeInvalid {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
}

func TestCallEndsWithItsTimeAndItsContext(t *testing.T) {
	release := make(chan struct{})
	o := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	o.Timeout = 50 * time.Millisecond
	_, err := open(t, o).Call(t.Context(), "getServerInfo", nil)
	if e := codeOf(t, err); e.Code != api.CodeTimeout {
		t.Errorf("got %s %q, want timeout", e.Code, e.Message)
	}
	o.Timeout = 0
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := open(t, o).Call(ctx, "getServerInfo", json.RawMessage(`{"timeoutSeconds":5}`)); codeOf(t, err).Code != api.CodeTimeout {
		t.Errorf("got %v, want timeout", err)
	}
	cancelled, stop := context.WithCancel(t.Context())
	stop()
	if _, err := open(t, o).Call(cancelled, "getServerInfo", nil); codeOf(t, err).Code != api.CodeUnavailable {
		t.Errorf("got %v, want unavailable for a cancelled call", err)
	}
}

func TestAsRefusesAResultOfAnotherForm(t *testing.T) {
	_, err := client.As[struct {
		N int `json:"n"`
	}](api.Reply{Result: json.RawMessage(`{"n":"seven"}`)}, nil)
	if codeOf(t, err).Code != api.CodeInternal {
		t.Errorf("got %v", err)
	}
}
