package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	swagger "github.com/swaggest/swgui/v5/static"
)

//go:embed static
var page embed.FS

// policy lets the page load its own files and read its own server, and no
// more: Swagger UI needs neither inline script nor inline style, only the
// pictures that its style sheet carries as data.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

// asset is one file of the page, ready to be sent.
type asset struct {
	contentType, etag string
	content           []byte
	gzipped           bool // content is compressed
}

// Docs serves the page at /docs and its files below /docs/: Swagger UI's own
// assets under a page of ours, which reads /openapi.json and needs no network.
// It answers 404 to any other path and is safe for concurrent use.
func Docs() http.Handler {
	const (
		html  = "text/html; charset=utf-8"
		css   = "text/css; charset=utf-8"
		js    = "text/javascript; charset=utf-8"
		image = "image/svg+xml"
	)
	index := load(page, "static/index.html", html)
	assets := map[string]asset{
		"/docs":                      index,
		"/docs/docs.js":              load(page, "static/docs.js", js),
		"/docs/docs.css":             load(page, "static/docs.css", css),
		"/docs/icon.svg":             load(page, "static/icon.svg", image),
		"/docs/swagger-ui.css":       load(swagger.FS, "swagger-ui.css.gz", css),
		"/docs/swagger-ui-bundle.js": load(swagger.FS, "swagger-ui-bundle.js.gz", js),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, assets) })
}

// load panics on a file that is not embedded, which any use of Docs meets.
func load(from fs.FS, name, contentType string) asset {
	content, err := fs.ReadFile(from, name)
	if err != nil {
		panic(fmt.Sprintf("openapi: %v", err))
	}
	sum := sha256.Sum256(content)
	return asset{contentType, hex.EncodeToString(sum[:16]), content, strings.HasSuffix(name, ".gz")}
}

func serve(w http.ResponseWriter, r *http.Request, assets map[string]asset) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "this page can only be read", http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path == "/docs/" { // the page's references are relative to /docs
		h.Set("Location", "../docs")
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	a, ok := assets[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "no-cache") // asked again each time: a new version must not meet old script
	if !a.gzipped {
		h.Set("ETag", `"`+a.etag+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
		return
	}
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		h.Set("ETag", `"`+a.etag+`-gzip"`)
		h.Set("Content-Encoding", "gzip")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
		return
	}
	if r.Method == http.MethodHead {
		return
	}
	plain, err := gzip.NewReader(bytes.NewReader(a.content))
	if err != nil { // embedded and tested: cannot happen
		http.Error(w, "the file is damaged", http.StatusInternalServerError)
		return
	}
	_, _ = io.Copy(w, plain) //nolint:gosec // the archive is our own; a client that went away is nobody's concern
}

// acceptsGzip reports whether the request names gzip and does not refuse it.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, q, weighted := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q = strings.ReplaceAll(q, " ", "")
			return !weighted || strings.Trim(strings.TrimPrefix(q, "q="), "0.") != ""
		}
	}
	return false
}
