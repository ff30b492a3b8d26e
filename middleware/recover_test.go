package middleware

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"jetstream/internal/api"
)

func TestAPanicIsAnInternalError(t *testing.T) {
	var text bytes.Buffer
	h := Recover(slog.New(slog.NewTextHandler(&text, nil)))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the cause") }))
	wantReply(t, send(h, "GET", "/", ""), 500, api.CodeInternal, "internal error")
	if !strings.Contains(text.String(), "the cause") || !strings.Contains(text.String(), "recover_test.go") {
		t.Errorf("the log has neither cause nor stack: %s", &text)
	}
}

func TestAnAbortPassesRecover(t *testing.T) {
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
			t.Errorf("recovered %v", p)
		}
	}()
	send(Recover(silent)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })), "GET", "/", "")
}
