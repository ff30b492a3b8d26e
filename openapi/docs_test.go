package openapi_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"jetstream/handlers"
	"jetstream/openapi"
	"jetstream/triggers"
)

// docs serves the page of the commands that there are.
var docs = sync.OnceValue(func() http.Handler {
	registry := handlers.Commands(handlers.Deps{})
	return openapi.Docs(registry, func() ([]byte, error) {
		return openapi.Document(registry, triggers.Definitions(), openapi.Info{Version: "1.2.3"})
	})
})

func fetch(path string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	docs().ServeHTTP(w, r)
	return w
}

func accept(coding string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Accept-Encoding", coding) }
}

var docsPaths = map[string]string{
	"/docs":                "text/html; charset=utf-8",
	"/docs/docs.js":        "text/javascript; charset=utf-8",
	"/docs/docs.css":       "text/css; charset=utf-8",
	"/docs/icon.svg":       "image/svg+xml",
	"/docs/tryit.js":       "text/javascript; charset=utf-8",
	"/docs/static/docs.js": "",
	"/docs/../docs.go":     "",
	"/docs/docs.html":      "",
}

func TestDocsFiles(t *testing.T) {
	for path, contentType := range docsPaths {
		w := fetch(path, nil)
		if contentType == "" {
			if w.Code != http.StatusNotFound {
				t.Errorf("%s: %d, want 404", path, w.Code)
			}
		} else if path == "/docs/" { // else its relative references led astray
			if w.Code != http.StatusPermanentRedirect || w.Header().Get("Location") != "../docs" {
				t.Errorf("%s: %d %v", path, w.Code, w.Header())
			}
		} else if w.Code != http.StatusOK || w.Header().Get("Content-Type") != contentType || w.Body.Len() == 0 {
			t.Errorf("%s: %d %s, %d bytes", path, w.Code, w.Header().Get("Content-Type"), w.Body.Len())
		}
		h := w.Header()
		policy := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
			"connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy %q lacks %s", path, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
			t.Errorf("%s: the policy is not strict: %s", path, policy)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: no nosniff", path)
		}
	}
}

func TestDocsCompression(t *testing.T) {
	const path = "/docs"
	plain := fetch(path, nil)
	for coding, compressed := range map[string]bool{
		"gzip": true, "br, gzip;q=0.5": true, "GZIP": true, "": false, "br": false, "gzip;q=0": false, "gzip; q=0.000": false, "x-gzipped": false,
	} {
		w := fetch(path, accept(coding))
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != compressed {
			t.Errorf("Accept-Encoding %q: compressed %v", coding, got)
		}
		body := w.Body.Bytes()
		if compressed {
			r, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(body, plain.Body.Bytes()) {
			t.Errorf("Accept-Encoding %q: other content", coding)
		}
		if w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: caches would mix the two up", coding)
		}
	}
}

func TestDocsCaching(t *testing.T) {
	for _, path := range []string{"/docs", "/docs/docs.js", "/docs/docs.css"} {
		first := fetch(path, accept("gzip"))
		tag := first.Header().Get("ETag")
		if tag == "" || first.Header().Get("Cache-Control") != "no-cache" {
			t.Fatalf("%s: headers %v", path, first.Header())
		}
		again := fetch(path, func(r *http.Request) { accept("gzip")(r); r.Header.Set("If-None-Match", tag) })
		if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%s asked again: %d with %d bytes, want 304", path, again.Code, again.Body.Len())
		}
	}
	for _, coding := range []string{"", "gzip"} {
		head := fetch("/docs/docs.css", func(r *http.Request) { accept(coding)(r); r.Method = http.MethodHead })
		if head.Code != http.StatusOK || head.Body.Len() != 0 {
			t.Errorf("HEAD: %d with %d bytes", head.Code, head.Body.Len())
		}
	}
	post := fetch("/docs", func(r *http.Request) { r.Method = http.MethodPost })
	if post.Code != http.StatusMethodNotAllowed || post.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", post.Code, post.Header().Get("Allow"))
	}
}

func TestDocsNeedNothingFromElsewhere(t *testing.T) {
	forbidden := regexp.MustCompile(`(?i)(src|href|action|import|from|url)[ =(]*["']?(https?:)?//|innerHTML|<[^>]* (on\w+|style)=|<style|<script>|["']javascript:`)
	for _, path := range []string{"/docs", "/docs/docs.js", "/docs/tryit.js", "/docs/docs.css", "/docs/icon.svg"} {
		text := strings.ReplaceAll(fetch(path, nil).Body.String(), "http://www.w3.org/2000/svg", "") // a name, not an address
		if found := forbidden.FindString(text); found != "" {
			t.Errorf("%s has %q", path, found)
		}
	}
	if html := fetch("/docs", nil).Body.String(); !strings.Contains(html, `href="./"`) {
		t.Error("no way back to the status page")
	}
}

// TestDocsAreAtOnePath, for their references are relative to it.
func TestDocsAreAtOnePath(t *testing.T) {
	res := fetch("/docs/", nil)
	if res.Code != http.StatusPermanentRedirect || res.Header().Get("Location") != "../docs" {
		t.Errorf("%d %v", res.Code, res.Header())
	}
	for _, path := range []string{"/docs", "/docs/docs.js"} {
		text := fetch(path, nil).Body.String()
		for _, absolute := range []string{`href="/`, `src="/`, `url: "/`} {
			if strings.Contains(text, absolute) {
				t.Errorf("%s has %s", path, absolute)
			}
		}
	}
}
