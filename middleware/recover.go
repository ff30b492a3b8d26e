package middleware

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"jetstream/internal/api"
)

// Recover turns a panic into an internal error: one bad request must not end
// the server. http.ErrAbortHandler passes, as net/http asks.
func Recover(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				p := recover()
				if p == nil {
					return
				}
				if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
					panic(p)
				}
				Fail(w, r, log, api.ErrorOf(fmt.Errorf("panic: %v\n%s", p, debug.Stack())))
			}()
			next.ServeHTTP(w, r)
		})
	}
}
