package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/lmittmann/tint"

	"jetstream/internal/terminal"
)

// serverOutput is where the server writes for its operator.
type serverOutput struct {
	log     *slog.Logger
	console *consoleWriter
	file    *logFile // nil without --log
}

// open makes the output of a server with the console stderr. The log file is
// always JSON.
func (c *serverCmd) open(stderr io.Writer) (*serverOutput, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	onTerminal := terminal.IsTerminal(stderr)
	handler := func(to io.Writer) slog.Handler {
		if c.LogFormat == "text" || c.LogFormat == "auto" && onTerminal {
			return terminal.LogHandler(tint.NewTextHandler(to, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !onTerminal}))
		}
		return slog.NewJSONHandler(terminal.JSONWriter(to), options)
	}
	o := &serverOutput{console: &consoleWriter{to: stderr, notice: func(to io.Writer, lines, bytes int) {
		record := slog.NewRecord(time.Now(), slog.LevelWarn, "nobody read this console: what it should have shown was dropped", 0)
		record.Add("lines", lines, "bytes", bytes)
		_ = handler(to).Handle(context.Background(), record)
	}}}
	all := handler(o.console)
	if c.Log != "" {
		o.file = &logFile{path: c.Log}
		if err := o.file.reopen(); err != nil {
			return nil, err
		}
		all = slog.NewMultiHandler(all, slog.NewJSONHandler(terminal.JSONWriter(o.file), options))
	}
	o.log = slog.New(all)
	return o, nil
}

// handleSignals keeps the process alive when its terminal or the reader of its
// console goes away, and reopens the log file on SIGHUP, until ctx ends. The
// signals are not ignored, since scripts would inherit that, and stay caught to
// the end of the process.
func (o *serverOutput) handleSignals(ctx context.Context) {
	hangups, pipes := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	signal.Notify(pipes, syscall.SIGPIPE) // the write that failed returns an error
	go func() {
		for {
			select {
			case <-hangups:
				o.reopen()
			case <-ctx.Done():
				return
			}
		}
	}()
}

func (o *serverOutput) reopen() {
	if o.file == nil {
		return
	}
	if err := o.file.reopen(); err != nil {
		o.log.Error("the log goes on in the file that was open", "error", err)
		return
	}
	o.log.Info("the log file was opened anew", "file", o.file.path)
}

// logFile is a file that can be reopened after it was renamed. Safe for
// concurrent use.
type logFile struct {
	path string
	mu   sync.Mutex
	file *os.File
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(p)
}

// reopen opens the path and closes the file that was open. If the path cannot
// be opened, that file stays in use.
func (l *logFile) reopen() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("the log file cannot be opened: %w; see --log", err)
	}
	l.mu.Lock()
	former := l.file
	l.file = f
	l.mu.Unlock()
	if former != nil {
		_ = former.Close()
	}
	return nil
}

func (l *logFile) close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
