package terminal

import (
	"context"
	"encoding"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// LogHandler returns a handler that makes messages, keys and values harmless
// before h formats them as text.
func LogHandler(h slog.Handler) slog.Handler { return logHandler{h} }

type logHandler struct{ slog.Handler }

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	safe := slog.NewRecord(r.Time, r.Level, escapeOnce(Printable(r.Message)), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		safe.AddAttrs(logAttr(a))
		return true
	})
	return h.Handler.Handle(ctx, safe)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(logAttrs(attrs))}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(logText(name))}
}

func logAttrs(attrs []slog.Attr) []slog.Attr {
	safe := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		safe[i] = logAttr(a)
	}
	return safe
}

func logAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		v = slog.GroupValue(logAttrs(v.Group())...)
	case slog.KindString:
		v = slog.StringValue(logText(v.String()))
	case slog.KindAny:
		v = slog.StringValue(logText(textOf(v.Any())))
	}
	return slog.Attr{Key: logText(a.Key), Value: v}
}

func textOf(v any) string {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case encoding.TextMarshaler:
		if text, err := v.MarshalText(); err == nil {
			return string(text)
		}
	}
	return fmt.Sprintf("%+v", v)
}

// logText leaves lines and tabs to the handler, which quotes them.
func logText(s string) string { return escapeOnce(PrintableLines(s)) }

// escapeOnce writes the escaped ESC in another way: handlers with colours turn
// \x1b into ESC even where it is text.
func escapeOnce(s string) string { return strings.ReplaceAll(s, `\x1b`, `\u001b`) }

// JSONWriter returns a writer that applies PrintableJSON to each write, which
// must hold whole values.
func JSONWriter(w io.Writer) io.Writer { return jsonWriter{w} }

type jsonWriter struct{ to io.Writer }

func (w jsonWriter) Write(p []byte) (int, error) {
	if _, err := w.to.Write(PrintableJSON(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
