package middleware

import (
	"log/slog"
	"net/http"

	"jetstream/internal/api"
)

// SameOrigin refuses writes that a browser makes on behalf of a page from
// elsewhere (Sec-Fetch-Site and Origin). Programs send neither and pass.
func SameOrigin(log *slog.Logger) func(http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Fail(w, r, log, api.Errorf(api.CodeForbidden, "a page of another site may not send commands here"))
	}))
	return guard.Handler
}
