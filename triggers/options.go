package triggers

import (
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/stream"
)

// The defaults of Options.
const (
	DefaultGrace         = 5 * time.Second
	DefaultShutdownGrace = 30 * time.Second
	DefaultKeep          = 10_000
	DefaultQueueMax      = 100_000
	DefaultQueueBytes    = 1 << 30
	DefaultConcurrency   = 4
)

// MaxConcurrency is the maximum of Options.Concurrency.
const MaxConcurrency = 1024

// maxKeptBytes bounds the total size of the records of ended runs.
const maxKeptBytes = 1 << 30

// Tokens issues the tokens of scripts.
type Tokens interface {
	// IssueRunToken returns a token that acts as user; launch is whether it is
	// for a launch script, which has no user. depth is the depth of the run.
	IssueRunToken(user string, launch bool, depth int) string
	// RevokeRunToken ends a token.
	RevokeRunToken(token string)
}

// APIAccess is how scripts reach this server.
type APIAccess struct {
	// Host and Port are those of the control API.
	Host string
	Port int
	// CAFile is the certificate file that clients must trust; empty without
	// TLS.
	CAFile string
}

// Options configure an Engine.
type Options struct {
	// Dir is the absolute path of the trigger directory. Empty: there are no
	// triggers, and queued runs stay queued.
	Dir string
	// StateDir is the absolute path of the state directory. Its subdirectory
	// spool contains the payloads and file lists of runs.
	StateDir string
	// Store stores the runs. Required.
	Store Store
	// Stream is the event log, which gets all events except those of commands,
	// and the output of running scripts; nil discards them. Entries about runs
	// are appended by the store: see NoteRun.
	Stream *stream.Log
	// Files lists received files. Required for events with a file list.
	Files Lister
	// Tokens issues the tokens of scripts; nil: they get none.
	Tokens Tokens
	// Log is for the operator; nil discards it.
	Log *slog.Logger
	// LogRuns logs the start and end of all runs and prints the output of
	// scripts on Console, line by line.
	LogRuns bool
	// Console is where LogRuns prints output; nil discards it.
	Console io.Writer
	// Timeout is how long a script may run; 0 is no limit.
	Timeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL; 0 means 5 s, negative
	// none.
	Grace time.Duration
	// ShutdownGrace is how long running scripts may continue after the context
	// of Serve has ended; 0 means 30 s, negative not at all.
	ShutdownGrace time.Duration
	// Keep is how many ended runs are kept; 0 means 10,000.
	Keep int
	// QueueMax is how many runs may wait before on.* events are dropped. Other
	// events are always queued. 0 means 100,000.
	QueueMax int
	// QueueBytes is how many bytes of parameters of on.* events may wait before
	// such events are dropped; one user may have half of it. 0 means 1 GiB.
	QueueBytes int64
	// Order is which scripts may run concurrently; empty is OrderGlobal: none.
	Order Order
	// Concurrency is how many scripts may run concurrently with OrderKey and
	// OrderNone; 0 means 4.
	Concurrency int
	// Ended, if not nil, is called for each run that has ended; took is 0 for
	// one that was cancelled in the queue. It must be safe for concurrent use
	// and return soon.
	Ended func(r Run, took time.Duration)
	// Env names further environment variables of the server for scripts.
	Env []string
	// Environ is the environment of the server as NAME=value. Scripts get a few
	// variables of it, and those named in Env.
	Environ []string
	// ServerUID identifies this server, also after restarts.
	ServerUID string
	// ProcessID identifies this process of the server. Queued launch runs of
	// other processes are dropped.
	ProcessID string
}

func (o *Options) fill() error {
	if o.Store == nil {
		return api.Errorf(api.CodeInternal, "triggers need a store")
	}
	if o.Dir != "" && !filepath.IsAbs(o.Dir) {
		return api.Errorf(api.CodeInvalid, "trigger directory %s is not absolute; give its whole path", o.Dir)
	}
	if o.Dir != "" && !filepath.IsAbs(o.StateDir) {
		return api.Errorf(api.CodeInvalid, "triggers need an absolute state directory to spool into, got %q", o.StateDir)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Console == nil {
		o.Console = io.Discard
	}
	if o.Order == "" {
		o.Order = OrderGlobal
	}
	if o.Concurrency == 0 {
		o.Concurrency = DefaultConcurrency
	}
	return checkOrder(o.Order, o.Concurrency)
}

// Limits are the options that may change while an Engine runs: those of the same
// names in Options, with the same defaults.
type Limits struct {
	Timeout, Grace, ShutdownGrace time.Duration
	Keep, QueueMax                int
	QueueBytes                    int64
}

func (o *Options) limits() Limits {
	return Limits{o.Timeout, o.Grace, o.ShutdownGrace, o.Keep, o.QueueMax, o.QueueBytes}
}

func (l *Limits) fill() {
	if l.Grace == 0 {
		l.Grace = DefaultGrace
	}
	if l.ShutdownGrace == 0 {
		l.ShutdownGrace = DefaultShutdownGrace
	}
	if l.Keep <= 0 {
		l.Keep = DefaultKeep
	}
	if l.QueueMax <= 0 {
		l.QueueMax = DefaultQueueMax
	}
	if l.QueueBytes <= 0 {
		l.QueueBytes = DefaultQueueBytes
	}
}
