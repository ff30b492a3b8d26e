package gateway

import (
	"net/http"
	"strings"
	"time"

	"jetstream/internal/api"
)

const (
	// drainTimeout bounds how long net/http waits for a body that no handler
	// read; less than an answer may take, which waits behind it.
	drainTimeout = 10 * time.Second
	// pageTimeout bounds how long a client may take to read a page or a file of
	// one; what is below api.Prefix bounds itself, for commands may wait long
	// before they answer.
	pageTimeout = 2 * time.Minute
)

// withDeadlines bounds what a slow client costs beyond the handlers' own limits:
// net/http reads what is left of a body after the answer, and would wait for
// it without end; and pages are written by handlers that know no limit.
// readObject sets its own deadline, and removes it once it has the whole body.
func withDeadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if r.ContentLength != 0 {
			_ = rc.SetReadDeadline(time.Now().Add(drainTimeout))
		}
		if !strings.HasPrefix(r.URL.Path, api.Prefix+"/") {
			_ = rc.SetWriteDeadline(time.Now().Add(pageTimeout))
		}
		next.ServeHTTP(w, r)
	})
}
