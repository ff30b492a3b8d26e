package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"jetstream/internal/api"
)

//go:embed static
var page embed.FS

// policy lets the page load its own files and call its own server, and no more.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

// asset is one file of the page, ready to be sent.
type asset struct {
	contentType, etag string
	content           []byte
	gzipped           []byte
}

// Handler serves a document, such as one of Document, which is made when it is first
// asked for. It panics if that fails.
func Handler(document func() ([]byte, error)) http.Handler {
	made := sync.OnceValue(func() asset {
		content, err := document()
		if err != nil {
			panic(fmt.Sprintf("openapi: %v", err))
		}
		return newAsset("application/json", content)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		a := made()
		a.serve(w, r)
	})
}

// newAsset compresses content beforehand.
func newAsset(contentType string, content []byte) asset {
	var gzipped bytes.Buffer
	w := gzip.NewWriter(&gzipped)
	if _, err := w.Write(content); err != nil || w.Close() != nil { // a buffer takes all
		panic("openapi: an asset cannot be compressed")
	}
	sum := sha256.Sum256(content)
	return asset{contentType, hex.EncodeToString(sum[:16]), content, gzipped.Bytes()}
}

// Docs serves the page at /docs and its files below /docs/. The page shows the document
// that document returns, which Document has made from registry; it is made when it is
// first asked for, and Docs panics then if that fails. It answers 404 to any other path
// and is safe for concurrent use.
func Docs(registry *api.Registry, document func() ([]byte, error)) http.Handler {
	assets := sync.OnceValue(func() map[string]asset {
		text, err := document()
		if err == nil {
			text, err = writePage(registry, text)
		}
		if err != nil {
			panic(fmt.Sprintf("openapi: %v", err))
		}
		all := map[string]asset{"/docs": newAsset("text/html; charset=utf-8", text)}
		for name, contentType := range map[string]string{
			"docs.js": "text/javascript; charset=utf-8", "tryit.js": "text/javascript; charset=utf-8",
			"docs.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml",
		} {
			content, err := page.ReadFile("static/" + name)
			if err != nil {
				panic(fmt.Sprintf("openapi: %v", err))
			}
			all["/docs/"+name] = newAsset(contentType, content)
		}
		return all
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, assets()) })
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
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		etag, content = etag+"-gzip", a.gzipped
		h.Set("Content-Encoding", "gzip")
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
