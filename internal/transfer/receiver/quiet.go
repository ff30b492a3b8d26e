package receiver

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// quietFor is how often a line of one kind is logged.
const quietFor = time.Minute

// quietLog logs lines that strangers cause, and which they could fill a disk
// with: the first of a kind at once, then the number of those of each minute
// with the last of them.
type quietLog struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[string]*quietKind // by message
}

type quietKind struct {
	more int   // since the last line
	args []any // of the last of them
}

func newQuietLog(log *slog.Logger) *quietLog {
	return &quietLog{log: log, kinds: map[string]*quietKind{}}
}

// warn logs a line of the kind message. Messages are constants.
func (q *quietLog) warn(message string, args ...any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if kind := q.kinds[message]; kind != nil {
		kind.more++
		kind.args = args
		return
	}
	q.kinds[message] = &quietKind{}
	q.log.Warn(message, args...) //nolint:sloglint // a constant of the caller
	time.AfterFunc(quietFor, func() { q.summarize(message) })
}

// summarize ends the minute of a kind, and begins another if there were further
// lines.
func (q *quietLog) summarize(message string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	kind := q.kinds[message]
	if kind.more == 0 {
		delete(q.kinds, message)
		return
	}
	q.log.Log(context.Background(), slog.LevelWarn, message, append(kind.args, "timesInTheLastMinute", kind.more)...) //nolint:sloglint // the same
	*kind = quietKind{}
	time.AfterFunc(quietFor, func() { q.summarize(message) })
}
