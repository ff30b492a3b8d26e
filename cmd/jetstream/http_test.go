//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"jetstream/handlers"
	"jetstream/internal/api"
)

// TestHeadAnswersAsGet: on every route that takes GET, with the status and the
// headers of GET and no body.
func TestHeadAnswersAsGet(t *testing.T) {
	l := newLive(t)
	l.start()
	paths := []string{"/healthz", "/healthz?verbose", "/metrics", "/openapi.json", "/docs", "/", "/static/app.js", "/nothing", "/api/v1/nothing"}
	for _, c := range handlers.Commands(handlers.Deps{}).All() {
		if c.Method == http.MethodGet {
			paths = append(paths, "/api/v1"+strings.NewReplacer("{", "", "}", "").Replace(c.Path))
		}
	}
	for _, user := range []string{"root", ""} {
		for _, path := range paths {
			ask := func(method string) *http.Response {
				req, err := http.NewRequestWithContext(t.Context(), method, l.baseURL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if user != "" {
					req.SetBasicAuth(user, l.password)
				}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = res.Body.Close() }()
				body, err := io.ReadAll(res.Body)
				if err != nil || method == http.MethodHead && len(body) > 0 {
					t.Errorf("%s %s: %q, %v", method, path, body, err)
				}
				return res
			}
			get, head := ask(http.MethodGet), ask(http.MethodHead)
			if get.StatusCode != head.StatusCode || get.Header.Get("Content-Type") != head.Header.Get("Content-Type") {
				t.Errorf("%s as %q: GET %d %s, HEAD %d %s", path, user, get.StatusCode, get.Header.Get("Content-Type"),
					head.StatusCode, head.Header.Get("Content-Type"))
			}
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, l.baseURL+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("root", l.password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("the event stream: %d %v", res.StatusCode, res.Header)
	}
	// A HEAD of a command counts as the command.
	if metrics := string(fetchAs(t, l, "root", "/metrics")); !strings.Contains(metrics, `jetstream_api_requests_total{command="getUsers",status="success"} 2`) ||
		!strings.Contains(metrics, "jetstream_build_info{") {
		t.Errorf("the metrics have not counted it: %s", metrics)
	}
}

func fetchAs(t *testing.T, l *live, user, path string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.baseURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(user, l.password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestFormsOfRequests: what other programs write in other ways, and what is
// refused by name.
func TestFormsOfRequests(t *testing.T) {
	l := newLive(t)
	l.start()
	envelope := `{"request":"getUsers","parameters":{"limit":%s}}`
	for _, c := range []struct {
		name, body, encoding string
		status               int
		says                 string
	}{
		{"a byte order mark", "\uFEFF" + fmt.Sprintf(envelope, "5"), "", 200, ""},
		{"two of them", "\uFEFF\uFEFF" + fmt.Sprintf(envelope, "5"), "", 400, "not JSON"},
		{"5.0", fmt.Sprintf(envelope, "5.0"), "", 200, ""},
		{"5e1", fmt.Sprintf(envelope, "5e1"), "", 200, ""},
		{"5.5", fmt.Sprintf(envelope, "5.5"), "", 400, "limit must be an integer"},
		{"1e999999999", fmt.Sprintf(envelope, "1e999999999"), "", 400, "limit must be"},
		{"gzip", "\x1f\x8b", "gzip", 415, "Content-Encoding"},
		{"identity", fmt.Sprintf(envelope, "5"), "identity", 415, "Content-Encoding"},
		{"a number as text", `{"request":"send.createManifest","parameters":{"fileMappings":{"/a":"/b"},"userData":{"a":1}}}`, "", 400, "userData.a must be a string"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.baseURL+"/api/v1/command", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if c.encoding != "" {
			req.Header.Set("Content-Encoding", c.encoding)
		}
		req.SetBasicAuth("root", l.password)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != c.status || !bytes.Contains(text, []byte(c.says)) {
			t.Errorf("%s: %d %s %v, want %d %q", c.name, res.StatusCode, text, err, c.status, c.says)
		}
	}
	if res := l.raw("GET /healthz HTTP/1.0\r\n\r\n"); res.StatusCode != 200 {
		t.Errorf("HTTP/1.0 without Host: %d", res.StatusCode)
	}
	if res := l.raw("GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"); res.StatusCode != 403 {
		t.Errorf("a foreign Host: %d", res.StatusCode)
	}
	for _, c := range []struct {
		browser string
		basic   bool
	}{{"", true}, {"Sec-Fetch-Mode: cors\r\n", false}, {"User-Agent: Mozilla/5.0 (X11)\r\n", false}} {
		res := l.raw("GET /api/v1/users HTTP/1.1\r\nHost: localhost\r\n" + c.browser + "Connection: close\r\n\r\n")
		if got := strings.Contains(strings.Join(res.Header["Www-Authenticate"], ","), "Basic"); res.StatusCode != 401 || got != c.basic {
			t.Errorf("%q: %d %v", c.browser, res.StatusCode, res.Header["Www-Authenticate"])
		}
	}
}

// TestLocationLeadsThere: the reference of a creation, and of its repetition, is
// relative to the path of the request.
func TestLocationLeadsThere(t *testing.T) {
	l := newLive(t)
	l.start()
	params := map[string]any{"fileMappings": map[string]any{"/a": "/b"}}
	for _, path := range []string{"/api/v1/send/manifests", "/api/v1/command"} {
		body := params
		if strings.HasSuffix(path, "command") {
			body = map[string]any{"request": "send.createManifest", "parameters": params}
		}
		for range 2 {
			res, text := l.send("POST", path, basic("alice", testPassword), body, api.IdempotencyHeader, "k")
			location, err := res.Location() // as a client resolves it
			if err != nil || res.StatusCode != 201 || strings.HasPrefix(res.Header.Get("Location"), "/") {
				t.Fatalf("%d %s %v %v", res.StatusCode, text, res.Header, err)
			}
			if got := string(fetchAs(t, l, "alice", location.Path)); !strings.Contains(got, `"success"`) {
				t.Errorf("%s: %s", location, got)
			}
		}
	}
}

// sseLines reads a stream until a line has the prefix.
func sseLines(t *testing.T, body io.Reader, prefix string) {
	t.Helper()
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), prefix) {
			return
		}
	}
	t.Errorf("the stream ended before %q: %v", prefix, lines.Err())
}
