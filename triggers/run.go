package triggers

import (
	"context"
	"encoding/json"
	"iter"

	"jetstream/internal/api"
	"jetstream/internal/stream"
)

// Status is the state of a run; the queue is the history whose status is
// queued.
type Status string

// The states of a run.
const (
	StatusQueued      Status = "queued"
	StatusRunning     Status = "running"
	StatusSuccess     Status = "success"
	StatusFailed      Status = "failed"
	StatusTimeout     Status = "timeout"
	StatusCancelled   Status = "cancelled"
	StatusInterrupted Status = "interrupted"
)

// Output is what a script wrote to one of its streams: the first and the last
// 16 KiB, with bytes that are not UTF-8 replaced.
type Output struct {
	Text         string `json:"text" doc:"First and last 16 KiB of the output"`
	DroppedBytes int64  `json:"droppedBytes" doc:"Bytes left out between them"`
}

// Run is one attempt to run a script for one event: queue entry, then record.
type Run struct {
	// Seq is the order in the queue, given by the database; set by InsertRun.
	Seq int64 `json:"-"`

	RunID        string          `json:"runId" doc:"Id of this run"`
	Event        string          `json:"event" doc:"Name of the event and of the script"`
	EventID      string          `json:"eventId" doc:"Id of the event, the same over all attempts"`
	Attempt      int             `json:"attempt" doc:"1 for the first run of the event"`
	Status       Status          `json:"status" doc:"queued, running, success, failed, timeout, cancelled or interrupted" validate:"oneof=queued running success failed timeout cancelled interrupted"`
	Parameters   json.RawMessage `json:"parameters" doc:"The event's parameters in order"`
	EventTime    api.Time        `json:"eventTime" doc:"When the event happened"`
	QueueTime    api.Time        `json:"queueTime" doc:"When this run was queued"`
	StartTime    api.Time        `json:"startTime" doc:"When the script was started, or null"`
	EndTime      api.Time        `json:"endTime" doc:"When the run ended, or null"`
	ExitCode     *int            `json:"exitCode" doc:"The script's exit status, or null"`
	Signal       string          `json:"signal" doc:"Name of the signal that ended the script, or empty"`
	ErrorMessage string          `json:"errorMessage" doc:"Why the run did not succeed, or empty"`
	Stdout       Output          `json:"stdout" doc:"What the script wrote to standard output"`
	Stderr       Output          `json:"stderr" doc:"What the script wrote to standard error"`
	RequestID    string          `json:"requestId" doc:"The API request that caused the event, or empty"`
	User         string          `json:"user" doc:"Who caused the event, or empty"`
	TransferID   string          `json:"transferId" doc:"The transfer that the event is about, or empty"`
	Depth        int             `json:"depth" doc:"How many trigger runs led here, this one included"`

	// Subject and Key are the Cause's.
	Subject string `json:"-"`
	Key     string `json:"-"`
	// PID and PIDStart name the running process group's leader over restarts
	// of the server: PIDStart is the kernel's start time of that pid, in a unit
	// of its own, compared for equality only. 0 while unknown.
	PID      int    `json:"-"`
	PIDStart uint64 `json:"-"`
	// Process is the serverId of the server process that queued the run: a
	// launch of a former process is dropped.
	Process string `json:"-"`
}

// Tx is a database transaction as triggers need it.
type Tx interface {
	stream.Tx
	// InsertRun saves a run and sets its Seq.
	InsertRun(*Run) error
}

// Filter selects runs; zero fields select all.
type Filter struct {
	Event  string
	Status Status
	User   string
	// Since selects runs queued at or after it.
	Since api.Time
	// Before selects runs with a Seq below it; 0 is from the newest.
	Before int64
	Limit  int
}

// Store is what triggers need of the database.
type Store interface {
	// Update runs fn in one transaction that is on disk when it returns.
	Update(ctx context.Context, fn func(Tx) error) error
	// Next returns the oldest queued run, interrupted ones' new attempts
	// first, or nil.
	Next(ctx context.Context) (*Run, error)
	// Mark saves the mutable fields of a run (status, times, exit, output,
	// pid). It survives kill -9, not necessarily a power cut.
	Mark(ctx context.Context, r *Run) error
	// Interrupt ends a run that was running when its process ended as
	// interrupted and queues again, in one transaction, to go before all others.
	Interrupt(ctx context.Context, ended, again *Run) error
	// Running returns the runs with status running, oldest first.
	Running(ctx context.Context) ([]*Run, error)
	// DropLaunches ends the waiting launch runs of other processes as
	// cancelled with that message, and returns how many.
	DropLaunches(ctx context.Context, process, message string) (int, error)
	// Runs lists runs newest first. A page may end before Limit where runs are
	// large; more tells whether there are further ones. Run finds one (notFound
	// otherwise).
	Runs(ctx context.Context, f Filter) (page []Run, more bool, err error)
	Run(ctx context.Context, runID string) (Run, error)
	// Waiting counts queued runs.
	Waiting(ctx context.Context) (int, error)
	// Prune removes the oldest ended runs beyond keep runs or maxBytes.
	Prune(ctx context.Context, keep int, maxBytes int64) error
}

// ListedFile is one line of a transfer's file list.
type ListedFile struct {
	ManifestFile string // name given by fileMappings, without destinationPath
	FilePath     string // absolute final path on this server's disk
	Path         string // as the user's API sees it
	Size         int64  // bytes
}

// Lister gives the file list of the transfer that a run is about, in the
// manifest's order, without holding it in memory.
type Lister interface {
	List(ctx context.Context, subject string) iter.Seq2[ListedFile, error]
}
