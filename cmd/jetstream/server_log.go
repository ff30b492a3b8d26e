package main

import (
	"fmt"
	"io"
	"log/slog"

	"jetstream/internal/console"
	"jetstream/internal/terminal"
)

// logger returns the log of the server, which goes to the console out and, with
// --log, to a file as well. device is what out writes to. The caller must call
// stop at the end.
func (c *serverCmd) logger(out, device io.Writer) (log *slog.Logger, stop func() error, err error) {
	handler := c.consoleHandler(out, terminal.IsTerminal(device))
	if c.Log == "" {
		log = slog.New(handler)
		return log, console.ReopenOnHangup(log, nil), nil
	}
	f, err := console.OpenFile(c.Log)
	if err != nil {
		return nil, nil, fmt.Errorf("the log file cannot be opened: %w; see --log", err)
	}
	log = slog.New(slog.NewMultiHandler(handler, console.JSONHandler(f, c.level())))
	return log, console.ReopenOnHangup(log, f), nil
}

// consoleHandler writes for people or for programs, as --log-format says.
func (c *serverCmd) consoleHandler(w io.Writer, isTerminal bool) slog.Handler {
	if c.LogFormat == "text" || c.LogFormat == "auto" && isTerminal {
		return console.TextHandler(w, c.level(), isTerminal)
	}
	return console.JSONHandler(w, c.level())
}

// level is that of --log-level, whose values the command line has checked. A reload
// may change it.
func (c *serverCmd) level() *slog.LevelVar {
	if c.logLevel == nil {
		c.logLevel = new(slog.LevelVar)
	}
	_ = c.logLevel.UnmarshalText([]byte(c.LogLevel))
	return c.logLevel
}
