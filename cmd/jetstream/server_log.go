package main

import (
	"context"
	"encoding"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/lmittmann/tint"

	"jetstream/internal/terminal"
)

// logger returns the log of the server, which goes to the console out and, with
// --log, to a file as well. device is what out writes to. The caller must call
// stop at the end.
func (c *serverCmd) logger(out, device io.Writer) (log *slog.Logger, stop func() error, err error) {
	console := c.consoleHandler(out, terminal.IsTerminal(device))
	if c.Log == "" {
		log = slog.New(console)
		return log, reopenOnHangup(log, nil), nil
	}
	f, err := openLogFile(c.Log)
	if err != nil {
		return nil, nil, fmt.Errorf("the log file cannot be opened: %w; see --log", err)
	}
	log = slog.New(slog.NewMultiHandler(console, jsonHandler(f, c.level())))
	return log, reopenOnHangup(log, f), nil
}

// consoleHandler writes for people or for programs, as --log-format says.
func (c *serverCmd) consoleHandler(w io.Writer, isTerminal bool) slog.Handler {
	if c.LogFormat == "text" || c.LogFormat == "auto" && isTerminal {
		return printableHandler{tint.NewTextHandler(w, &tint.Options{Level: c.level(), TimeFormat: time.TimeOnly, NoColor: !isTerminal})}
	}
	return jsonHandler(w, c.level())
}

// level is that of --log-level, whose values the command line has checked.
func (c *serverCmd) level() (level slog.Level) {
	_ = level.UnmarshalText([]byte(c.LogLevel))
	return level
}

// reopenOnHangup handles SIGHUP, which then does not end the server: it reopens
// f, the log file, which may be nil. The returned function ends that and closes
// f.
func reopenOnHangup(log *slog.Logger, f *logFile) (stop func() error) {
	hangup, done, ended := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-hangup:
			}
			if f == nil {
				continue
			}
			if err := f.reopen(); err != nil {
				log.Error("the log file could not be reopened", "error", err)
			} else {
				log.Info("the log file was reopened", "log", f.path)
			}
		}
	}()
	return func() error {
		signal.Stop(hangup)
		close(done)
		<-ended
		if f == nil {
			return nil
		}
		return f.Close()
	}
}

// jsonHandler writes JSON whose characters a terminal shows as they are, since
// people read it there too.
func jsonHandler(w io.Writer, level slog.Level) slog.Handler {
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
