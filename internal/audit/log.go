package audit

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"jetstream/internal/stream"
	"jetstream/internal/terminal"
)

// syncEvery is how long lines may wait until they are on disk.
const syncEvery = time.Second

// Options configure a Log.
type Options struct {
	// Stream is the event log. Required.
	Stream *stream.Log
	// Path is the file that records are appended to as well; empty: none.
	Path string
	// Log is for the operator. Required.
	Log *slog.Logger
}

// Log is the audit log. Safe for concurrent use.
type Log struct {
	stream    *stream.Log
	file      *file // nil: there is none
	log       *slog.Logger
	users     failures
	strangers failures
}

// Open opens the audit log. The caller must close it.
func Open(o Options) (*Log, error) {
	l := &Log{stream: o.Stream, log: o.Log}
	if o.Path == "" {
		return l, nil
	}
	var err error
	l.file, err = openFile(o.Path)
	return l, err
}

// Serve records every minute the refusals that were counted, and sees to it that
// lines of the file get to the disk, until ctx ends. Then it returns nil.
func (l *Log) Serve(ctx context.Context) error {
	minute, second := time.NewTicker(window), time.NewTicker(syncEvery)
	defer minute.Stop()
	defer second.Stop()
	for {
		select {
		case <-minute.C:
			l.flush()
		case <-second.C:
			l.trouble(l.file.sync())
		case <-ctx.Done():
			return nil
		}
	}
}

// Close records what was counted and closes the file.
func (l *Log) Close() error {
	l.flush()
	return l.file.close()
}

// Reopen opens the file of the log's path, which is another one after a rotation.
// After an error the former file stays in use.
func (l *Log) Reopen() error { return l.file.reopen() }

// Fault returns why the file takes no records now, or nil. It tries again, once a
// second at most.
func (l *Log) Fault() error {
	l.trouble(l.file.retry())
	return l.file.fault()
}

// Write records what user did; empty for nobody. It returns when the record is on
// disk in the event log and written to the file. Nothing fails because it
// cannot be recorded: the server's log and its health say so.
func (l *Log) Write(user string, r Record) {
	r.bound()
	l.write(user, r)
}

func (l *Log) write(user string, r Record) {
	// Not the context of a call: it may have ended, and that of one with an
	// Idempotency-Key has the database mark the key as well.
	ctx := context.Background()
	e, err := Kind.Entry(user, r)
	if err != nil { // cannot happen: parameters and result are JSON
		l.log.Error("an audit record could not be written", "action", r.Action, "error", err)
		return
	}
	e.Data = terminal.PrintableJSON(e.Data)
	line := append(slices.Clip(e.Data), '\n')
	if err := l.stream.Update(ctx, func(tx stream.Tx) error { return l.stream.AppendEntry(tx, e) }); err != nil {
		l.log.Error("an audit record could not be saved in the event log", "action", r.Action, "user", user, "error", err)
	}
	l.trouble(l.file.write(line))
}

// trouble logs a change of the file's state.
func (l *Log) trouble(err error) {
	switch {
	case err == nil:
	case errors.Is(err, errRecovered):
		l.log.Info("the audit log takes records again", "file", l.file.path)
	default:
		l.log.Error("the audit log takes no records; they are in the event log alone", "error", err)
	}
}
