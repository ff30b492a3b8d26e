package middleware

import (
	"log/slog"
	"net/http"

	"jetstream/internal/api"
)

// Permit refuses callers who may not call the command at all. What they may do
// with which object is the handler's to say.
func Permit(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller, loggedIn := api.CallerOf(r.Context())
			if err := CallOf(r.Context()).Command.Permit(caller, loggedIn); err != nil {
				Fail(w, r, log, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
