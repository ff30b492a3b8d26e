// Package web is the page that the server gives to browsers at /: sign in, see
// the transfers move and how the last trigger runs ended. Its files are
// embedded; it asks the control API for everything it shows and needs no build
// step, no other host and no inline script or style.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"time"
)

//go:embed static
var static embed.FS

// policy lets the page load its own files and call its own server, and no
// more. Names of files come from strangers: nothing that they write can run.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

// contentTypes are those of the page's files. The system's own table is not
// asked: on Windows any installed program may have spoilt it.
var contentTypes = map[string]string{ //nolint:gochecknoglobals // a table that is never written
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// file is one embedded file, ready to be sent.
type file struct {
	contentType, etag string
	content           []byte
}

// Handler serves the page at / and its files below /static/. It answers 404 to
// any other path and is safe for concurrent use.
func Handler() http.Handler {
	files := map[string]file{}
	entries, err := static.ReadDir("static")
	if err != nil { // embedded: cannot happen
		panic(fmt.Sprintf("web: %v", err))
	}
	for _, e := range entries {
		content, err := static.ReadFile("static/" + e.Name())
		if err != nil {
			panic(fmt.Sprintf("web: %v", err))
		}
		sum := sha256.Sum256(content)
		f := file{contentTypes[path.Ext(e.Name())], `"` + hex.EncodeToString(sum[:16]) + `"`, content}
		if e.Name() == "index.html" {
			files["/"] = f
		} else {
			files["/static/"+e.Name()] = f
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, files) })
}

func serve(w http.ResponseWriter, r *http.Request, files map[string]file) {
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
	f, ok := files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h.Set("Content-Type", f.contentType)
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache") // asked again each time: a new version must not meet old script
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}
