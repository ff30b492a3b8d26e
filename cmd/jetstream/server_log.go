package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"

	"jetstream/internal/terminal"
)

// logger writes to the console and, with --log, to a file as well. The file
// is always JSON. close closes the file.
func (c *serverCmd) logger(console io.Writer) (log *slog.Logger, closeFile func() error, err error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler
	terminal := terminal.IsTerminal(console)
	if c.LogFormat == "text" || c.LogFormat == "auto" && terminal {
		handler = tint.NewTextHandler(console, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !terminal})
	} else {
		handler = slog.NewJSONHandler(console, options)
	}
	if c.Log == "" {
		return slog.New(handler), func() error { return nil }, nil
	}
	f, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("the log file cannot be opened: %w; see --log", err)
	}
	return slog.New(slog.NewMultiHandler(handler, slog.NewJSONHandler(f, options))), f.Close, nil
}
