package middleware

import (
	"net/http"
	"strings"
	"testing"

	"jetstream/internal/api"
)

func TestRequestIDsOfCallersAreKeptOrReplaced(t *testing.T) {
	seen := ""
	h := WithRequestID(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { seen = RequestID(w) }))
	for sent, kept := range map[string]bool{"abc-1.2_3": true, strings.Repeat("x", 64): true, "": false, "a b": false, "ü": false, strings.Repeat("x", 65): false} {
		got := send(h, "GET", "/", "", api.RequestIDHeader, sent).Header.Get(api.RequestIDHeader)
		if (got == sent) != kept || got == "" || got != seen {
			t.Errorf("sent %q, answered %q, the handler saw %q", sent, got, seen)
		}
	}
}
