package triggers

import (
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/stream"
)

// What Options mean when they say nothing.
const (
	DefaultGrace         = 5 * time.Second
	DefaultShutdownGrace = 30 * time.Second
	DefaultKeep          = 10_000
	DefaultQueueMax      = 100_000
	DefaultConcurrency   = 4
)

// MaxConcurrency bounds how many scripts may run side by side.
const MaxConcurrency = 1024

// maxKeptBytes bounds what the records of ended runs weigh together.
const maxKeptBytes = 1 << 30

// Tokens makes the credentials that scripts carry.
type Tokens interface {
	// IssueRunToken makes a token that acts as user; launch tells that it is
	// for a launch script, which has no user. depth is the run's.
	IssueRunToken(user string, launch bool, depth int) string
	// RevokeRunToken ends a token.
	RevokeRunToken(token string)
}

// APIAccess is where scripts reach their own server.
type APIAccess struct {
	// Host and Port are the control API's.
	Host string
	Port int
	// CAFile is the certificate file that clients trust; empty without TLS.
	CAFile string
}

// Options say how triggers work.
type Options struct {
	// Dir is the trigger directory, absolute. Empty: there are no triggers;
	// what an earlier process queued stays queued.
	Dir string
	// StateDir is the state directory, absolute; payloads and file lists lie in
	// its subdirectory spool while a run needs them.
	StateDir string
	// Store keeps the runs. Needed.
	Store Store
	// Stream is the log of what happened: it gets every event but on.*, whether
	// or not a script exists, and the scripts' output while they run. nil: none.
	// Runs come into it by the store: see NoteRun.
	Stream *stream.Log
	// Files gives the lists of received files. Needed where events with a file
	// list occur.
	Files Lister
	// Tokens makes the scripts' credentials; nil: scripts carry none.
	Tokens Tokens
	// Log gets what the operator must know, and with LogRuns the runs; nil is silent.
	Log *slog.Logger
	// LogRuns logs the start and end of every run and prints the scripts'
	// output, line by line, on Console (--trigger-log).
	LogRuns bool
	// Console is where LogRuns prints output; never a log file. nil: nowhere.
	Console io.Writer
	// Timeout ends a script that runs longer; 0 is no limit.
	Timeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL; 0 means 5 s, below 0 none.
	Grace time.Duration
	// ShutdownGrace is how long Serve lets the running script go on when its
	// context ends; 0 means 30 s, below 0 none.
	ShutdownGrace time.Duration
	// Keep is how many ended runs are kept; 0 means 10,000.
	Keep int
	// QueueMax is how many runs may wait before on.* events are dropped; other
	// events are never dropped for it. 0 means 100,000.
	QueueMax int
	// Order says which scripts may run side by side; empty is OrderGlobal: none.
	Order Order
	// Concurrency is how many scripts run at a time at most with OrderKey and
	// OrderNone; 0 means 4.
	Concurrency int
	// Ended, if not nil, is told of each run that has ended and of how long it
	// took (0 for one that was cancelled in the queue). It is called from
	// several goroutines and must return soon.
	Ended func(r Run, took time.Duration)
	// Env names further environment variables that scripts get.
	Env []string
	// Environ is the server's environment as NAME=value; scripts get the few
	// that the contract names, and those of Env.
	Environ []string
	// ServerUID names this server, the same over restarts.
	ServerUID string
	// ProcessID names this process of the server; launch runs of another
	// process are dropped.
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
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.ShutdownGrace == 0 {
		o.ShutdownGrace = DefaultShutdownGrace
	}
	if o.Keep <= 0 {
		o.Keep = DefaultKeep
	}
	if o.QueueMax <= 0 {
		o.QueueMax = DefaultQueueMax
	}
	if o.Order == "" {
		o.Order = OrderGlobal
	}
	if o.Concurrency == 0 {
		o.Concurrency = DefaultConcurrency
	}
	return checkOrder(o.Order, o.Concurrency)
}
