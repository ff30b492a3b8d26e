package console

import (
	"context"
	"encoding"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/lmittmann/tint"

	"jetstream/internal/terminal"
)

// TextHandler writes a log for people, in colour to a terminal.
func TextHandler(w io.Writer, level slog.Leveler, isTerminal bool) slog.Handler {
	return printableHandler{tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !isTerminal})}
}

// JSONHandler writes a log in JSON whose characters a terminal shows as they are, since
// people read it there too.
func JSONHandler(w io.Writer, level slog.Leveler) slog.Handler {
	return slog.NewJSONHandler(printableJSON{w}, &slog.HandlerOptions{Level: level})
}

type printableJSON struct{ to io.Writer }

func (p printableJSON) Write(b []byte) (int, error) {
	_, err := p.to.Write(terminal.PrintableJSON(b))
	return len(b), err
}

// printableHandler escapes all text of records for a terminal before the
// handler behind it, which is tint's: that one quotes text, but then turns \x1b
// into the escape character, also where the text had these four characters.
type printableHandler struct{ next slog.Handler }

func (h printableHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h printableHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, printableText(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(printableAttr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h printableHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = printableAttr(a)
	}
	return printableHandler{h.next.WithAttrs(clean)}
}

func (h printableHandler) WithGroup(name string) slog.Handler {
	return printableHandler{h.next.WithGroup(printableText(name))}
}

// printableText escapes text in a form that tint leaves alone.
func printableText(text string) string {
	return strings.ReplaceAll(terminal.Printable(text), `\x1b`, `\x1B`)
}

func printableAttr(a slog.Attr) slog.Attr {
	key, value := printableText(a.Key), a.Value.Resolve()
	switch value.Kind() {
	case slog.KindString:
		return slog.String(key, printableText(value.String()))
	case slog.KindGroup:
		members := value.Group()
		clean := make([]any, len(members))
		for i, member := range members {
			clean[i] = printableAttr(member)
		}
		return slog.Group(key, clean...)
	case slog.KindAny:
		if m, ok := value.Any().(encoding.TextMarshaler); ok {
			if text, err := m.MarshalText(); err == nil {
				return slog.String(key, printableText(string(text)))
			}
		}
		return slog.String(key, printableText(fmt.Sprintf("%+v", value.Any())))
	default: // numbers and times
		return slog.Attr{Key: key, Value: value}
	}
}
