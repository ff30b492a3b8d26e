package middleware

import (
	"context"
	"log/slog"
	"net/http"

	"jetstream/internal/api"
)

// Limits bounds how many wait commands are open at a time, and how many of one
// user. pin is called for a caller who is logged in: from now on the request's
// connection is not to be closed in favor of others, until it is idle again.
func Limits(log *slog.Logger, maxWaits int, pin func(context.Context)) func(http.Handler) http.Handler {
	waits := NewUserQuota(maxWaits,
		"too many wait commands are open (%d, %d of them by this user); end some, or follow the event stream, which tells of all transfers at once")
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller, loggedIn := api.CallerOf(r.Context())
			if loggedIn {
				pin(r.Context())
			}
			if CallOf(r.Context()).Command.Waits {
				if err := waits.Acquire(caller.User, 1); err != nil {
					Fail(w, r, log, err)
					return
				}
				defer waits.Release(caller.User, 1)
			}
			next.ServeHTTP(w, r)
		})
	}
}
