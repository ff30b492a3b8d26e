package web_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"jetstream/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(path string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	web.Handler().ServeHTTP(w, r)
	return w
}

var paths = map[string]string{
	"/":                  "text/html; charset=utf-8",
	"/static/app.js":     "text/javascript; charset=utf-8",
	"/static/api.js":     "text/javascript; charset=utf-8",
	"/static/format.js":  "text/javascript; charset=utf-8",
	"/static/view.js":    "text/javascript; charset=utf-8",
	"/static/style.css":  "text/css; charset=utf-8",
	"/static/icon.svg":   "image/svg+xml",
	"/static/index.html": "",
	"/static/":           "",
	"/static":            "",
	"/web.go":            "",
	"/static/../web.go":  "",
	"/anything":          "",
}

func TestFiles(t *testing.T) {
	for path, contentType := range paths {
		w := get(path, nil)
		if contentType == "" {
			if w.Code != http.StatusNotFound {
				t.Errorf("%s: %d, want 404", path, w.Code)
			}
			continue
		}
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != contentType || w.Body.Len() == 0 {
			t.Errorf("%s: %d %s, %d bytes", path, w.Code, w.Header().Get("Content-Type"), w.Body.Len())
		}
	}
}

func TestHeaders(t *testing.T) {
	for path := range paths {
		h := get(path, nil).Header()
		policy := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
			"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy %q lacks %s", path, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
			t.Errorf("%s: the policy is not strict: %s", path, policy)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}

func TestCaching(t *testing.T) {
	first := get("/static/app.js", nil)
	tag := first.Header().Get("ETag")
	if tag == "" || first.Header().Get("Cache-Control") != "no-cache" {
		t.Fatalf("headers %v", first.Header())
	}
	again := get("/static/app.js", func(r *http.Request) { r.Header.Set("If-None-Match", tag) })
	if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("asked again: %d with %d bytes, want 304", again.Code, again.Body.Len())
	}
	if other := get("/static/api.js", nil).Header().Get("ETag"); other == tag {
		t.Error("two files share an ETag")
	}
}

func TestOnlyReading(t *testing.T) {
	head := get("/", func(r *http.Request) { r.Method = http.MethodHead })
	if head.Code != http.StatusOK || head.Body.Len() != 0 {
		t.Errorf("HEAD: %d with %d bytes", head.Code, head.Body.Len())
	}
	post := get("/", func(r *http.Request) { r.Method = http.MethodPost })
	if post.Code != http.StatusMethodNotAllowed || post.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", post.Code, post.Header().Get("Allow"))
	}
}

// TestNothingFromElsewhere holds that the page's files name no other host,
// carry nothing inline and never make markup of data.
func TestNothingFromElsewhere(t *testing.T) {
	forbidden := regexp.MustCompile(`(?i)https?://|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function| on\w+=| style=|<style|<script>|javascript:`)
	for path, contentType := range paths {
		if contentType == "" {
			continue
		}
		text := strings.ReplaceAll(get(path, nil).Body.String(), "http://www.w3.org/2000/svg", "") // a name, not an address
		if found := forbidden.FindString(text); found != "" {
			t.Errorf("%s has %q", path, found)
		}
	}
}
