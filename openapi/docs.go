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
	"sync"
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
	gzipped           []byte // empty: it is only sent as it is
}

// Handler serves a document, such as one of Document, which is made when it is first
// asked for. It panics if that fails.
func Handler(document func() ([]byte, error)) http.Handler {
	made := sync.OnceValue(func() asset {
		content, err := document()
		if err != nil {
			panic(fmt.Sprintf("openapi: %v", err))
		}
		var gzipped bytes.Buffer
		w := gzip.NewWriter(&gzipped)
		if _, err := w.Write(content); err != nil || w.Close() != nil { // a buffer takes all
			panic("openapi: the document cannot be compressed")
		}
		return newAsset("application/json", content, gzipped.Bytes())
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		a := made()
		a.serve(w, r)
	})
}

func newAsset(contentType string, content, gzipped []byte) asset {
	sum := sha256.Sum256(content)
	return asset{contentType, hex.EncodeToString(sum[:16]), content, gzipped}
}

// Docs serves the page at /docs and its files below /docs/: Swagger UI's own
// assets under a page of ours, which reads /openapi.json and needs no network.
// It answers 404 to any other path and is safe for concurrent use. The files are unpacked
// when one is first asked for.
func Docs() http.Handler {
	const (
		html  = "text/html; charset=utf-8"
		css   = "text/css; charset=utf-8"
		js    = "text/javascript; charset=utf-8"
		image = "image/svg+xml"
	)
	assets := sync.OnceValue(func() map[string]asset {
		index := load(page, "static/index.html", html)
		return map[string]asset{
			"/docs":                      index,
			"/docs/docs.js":              load(page, "static/docs.js", js),
			"/docs/docs.css":             load(page, "static/docs.css", css),
			"/docs/icon.svg":             load(page, "static/icon.svg", image),
			"/docs/swagger-ui.css":       load(swagger.FS, "swagger-ui.css.gz", css),
			"/docs/swagger-ui-bundle.js": load(swagger.FS, "swagger-ui-bundle.js.gz", js),
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, assets()) })
}

// load panics on a file that is not embedded, which any use of Docs meets.
func load(from fs.FS, name, contentType string) asset {
	content, err := fs.ReadFile(from, name)
	if err != nil {
		panic(fmt.Sprintf("openapi: %v", err))
	}
	if !strings.HasSuffix(name, ".gz") {
		return newAsset(contentType, content, nil)
	}
	plain, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		panic(fmt.Sprintf("openapi: %s: %v", name, err))
	}
	unpacked, err := io.ReadAll(plain)
	if err != nil {
		panic(fmt.Sprintf("openapi: %s: %v", name, err))
	}
	return newAsset(contentType, unpacked, content)
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
	a.serve(w, r)
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h, etag, content := w.Header(), a.etag, a.content
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "no-cache") // asked again each time: a new version must not meet old script
	if len(a.gzipped) > 0 {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			etag, content = etag+"-gzip", a.gzipped
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
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
