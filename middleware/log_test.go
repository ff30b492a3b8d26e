package middleware

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

func TestRequestsAreLoggedWithoutTheirQuery(t *testing.T) {
	for level, want := range map[slog.Level]bool{slog.LevelDebug: true, slog.LevelInfo: false} {
		var text bytes.Buffer
		h := Log(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: level})))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write([]byte("12345"))
		}))
		send(h, "GET", "/path?name=private", "")
		logged := text.String()
		if !want && logged != "" || want && (!strings.Contains(logged, "method=GET path=/path status=418 bytes=5") || strings.Contains(logged, "private")) {
			t.Errorf("at level %s: %q", level, logged)
		}
	}
}
