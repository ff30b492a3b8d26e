package middleware

import (
	"net/http"

	"jetstream/internal/api"
)

// WithRequestID gives every request an id: the caller's own, if it is up to
// 64 letters, digits, dots, underscores and dashes, else a new one.
func WithRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(api.RequestIDHeader)
		if !plainID(id) {
			id = api.NewID()
		}
		w.Header()[api.RequestIDHeader] = []string{id} // Set would only spell the name anew
		next.ServeHTTP(w, r)
	})
}

// RequestID returns the id of the request that w answers, or "". It is kept
// where it goes anyway.
func RequestID(w http.ResponseWriter) string { return w.Header().Get(api.RequestIDHeader) }

func plainID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
