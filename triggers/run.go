package triggers

import (
	"context"
	"encoding/json"
	"iter"
	"math"

	"jetstream/internal/api"
	"jetstream/internal/stream"
)

// Status is the state of a run. There is no separate queue: the runs with status
// queued are the queue.
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

// Output is the first and the last 16 KiB that a script has written to stdout
// or stderr, with bytes that are not UTF-8 replaced.
type Output struct {
	Text         string `json:"text" doc:"First and last 16 KiB of the output"`
	DroppedBytes int64  `json:"droppedBytes" doc:"Bytes left out between them"`
}

// Run is one attempt to run a script for one event. It is queued, then
// executed, and then kept as a record.
type Run struct {
	// Seq is the order of the queue. The database sets it when it saves the
	// run.
	Seq int64 `json:"-"`

	RunID        string          `json:"runId" doc:"Id of this run" column:"1"`
	Event        string          `json:"event" doc:"Name of the event and of the script" column:"2"`
	EventID      string          `json:"eventId" doc:"Id of the event, the same over all attempts"`
	Attempt      int             `json:"attempt" doc:"1 for the first run of the event"`
	Status       Status          `json:"status" doc:"queued, running, success, failed, timeout, cancelled or interrupted" validate:"oneof=queued running success failed timeout cancelled interrupted" column:"3"`
	Parameters   json.RawMessage `json:"parameters" doc:"The event's parameters in order"`
	EventTime    api.Time        `json:"eventTime" doc:"When the event happened"`
	QueueTime    api.Time        `json:"queueTime" doc:"When this run was queued" column:"4"`
	StartTime    api.Time        `json:"startTime" doc:"When the script was started, or null"`
	EndTime      api.Time        `json:"endTime" doc:"When the run ended, or null"`
	ExitCode     *int            `json:"exitCode" doc:"The script's exit status, or null"`
	Signal       string          `json:"signal" doc:"Name of the signal that ended the script, or empty"`
	ErrorMessage string          `json:"errorMessage" doc:"Why the run did not succeed, or empty" column:"below"`
	Stdout       Output          `json:"stdout" doc:"What the script wrote to standard output"`
	Stderr       Output          `json:"stderr" doc:"What the script wrote to standard error"`
	RequestID    string          `json:"requestId" doc:"The API request that caused the event, or empty"`
	User         string          `json:"user" doc:"Who caused the event, or empty"`
	TransferID   string          `json:"transferId" doc:"The transfer that the event is about, or empty"`
	Depth        int             `json:"depth" doc:"How many trigger runs led here, this one included"`

	Sample bool `json:"sample" doc:"Whether parameters or the file list are sample data"`

	// Urgent is above 0 for a retry of an interrupted run, which comes before
	// all runs with a lower Urgent. It is 0 for all other runs.
	Urgent int64 `json:"-"`

	// Lost counts the attempts in a row, this one included, that were
	// interrupted as by a script that takes the server down: see maxLost.
	Lost int `json:"-"`

	// Subject and Key are those of the Cause.
	Subject string `json:"-"`
	Key     string `json:"-"`
	// PID and PIDStart identify the leader of the running process group, also
	// after a restart of the server. PIDStart depends on its start time in a
	// platform-specific way. They are 0 while unknown.
	PID      int    `json:"-"`
	PIDStart uint64 `json:"-"`
	// Process is the serverId of the server process that has queued the run.
	// Launch runs of other processes are dropped.
	Process string `json:"-"`

	described json.RawMessage // see describe
}

// Tx is what triggers need of a database transaction.
type Tx interface {
	stream.Tx
	// InsertRun saves a run and sets its Seq, both at the end of the
	// transaction. The run must not be changed after the call.
	InsertRun(*Run) error
}

// Filter selects runs. Fields with the zero value select all runs.
type Filter struct {
	Event  string
	Status Status
	User   string
	// TransferID selects the runs about a transfer.
	TransferID string
	// IDPart selects the runs whose ids begin or end with it.
	IDPart string
	// Since selects runs queued at or after that time.
	Since api.Time
	// Before selects runs with a lower Seq.
	Before int64
	Limit  int
}

// Place is a position in the queue, which is sorted by descending Urgent, then
// by ascending Seq.
type Place struct{ Urgent, Seq int64 }

// Front returns the position before all runs.
func Front() Place { return Place{Urgent: math.MaxInt64} }

// Place returns the position of the run in the queue.
func (r *Run) Place() Place { return Place{r.Urgent, r.Seq} }

// Before reports whether p is before q.
func (p Place) Before(q Place) bool {
	return p.Urgent > q.Urgent || p.Urgent == q.Urgent && p.Seq < q.Seq
}

// Outcome counts the records of the runs of an event with the same final
// status.
type Outcome struct {
	Event  string
	Status Status
	Count  int
	// LastSeq is the Seq of the newest of them.
	LastSeq int64
}

// Store is what triggers need of the database.
type Store interface {
	// Update runs fn in one transaction that is on disk when it returns.
	Update(ctx context.Context, fn func(Tx) error) error
	// Next returns the first run of the queue, or nil.
	Next(ctx context.Context) (*Run, error)
	// NextFew returns the first runs of the queue in order, limit at most, and
	// fewer if they are large.
	NextFew(ctx context.Context, limit int) ([]*Run, error)
	// NextBehind returns the first queued run behind place with a Key that is
	// not in busy, or nil. Between place and seen, which it returns as well,
	// there are only queued runs of busy keys, and no run can be queued there
	// later.
	NextBehind(ctx context.Context, place Place, busy []string) (r *Run, seen Place, err error)
	// UseLanes makes or removes the index that NextOf needs.
	UseLanes(ctx context.Context, use bool) error
	// NextOf returns the first queued run of a key, or nil.
	NextOf(ctx context.Context, key string) (*Run, error)
	// Oldest returns when the oldest queued run was queued, 0 if there is none.
	Oldest(ctx context.Context) (api.Time, error)
	// Start is Mark for a run that is still queued; if it is not, it returns
	// false.
	Start(ctx context.Context, r *Run) (bool, error)
	// EndAndStart is Mark for a run that has ended and Start for the next one,
	// in one transaction.
	EndAndStart(ctx context.Context, ended, next *Run) (started bool, err error)
	// Cancel ends a queued run as cancelled with that message; if it is not
	// queued, it returns false.
	Cancel(ctx context.Context, runID, message string) (bool, error)
	// CancelRunning saves the message with which a running run is cancelled; if
	// it is not running, it returns false. The run stays running until its
	// script has ended, and is the only kind of running run with an
	// ErrorMessage.
	CancelRunning(ctx context.Context, runID, message string) (bool, error)
	// Retry queues the result of retryOf for a run that has ended. Before it
	// calls retryOf it sets the Attempt of the run to that of the last run of
	// the same event. Codes: notFound; conflict while a run of that event waits
	// or runs.
	Retry(ctx context.Context, runID string, retryOf func(Run) *Run) (Run, error)
	// Paused and SetPaused read and save whether the queue is paused.
	Paused(ctx context.Context) (bool, error)
	SetPaused(ctx context.Context, paused bool) error
	// Outcomes counts the records by event and status.
	Outcomes(ctx context.Context) ([]Outcome, error)
	// Mark saves the mutable fields of a run: status, times, exit status,
	// output. It survives kill -9, but not necessarily a power cut.
	Mark(ctx context.Context, r *Run) error
	// MarkProcess saves the PID and PIDStart of a running run, which only
	// Running reads. It survives kill -9, but not a restart of the machine.
	MarkProcess(r *Run) error
	// Interrupt saves a run that has ended as interrupted and queues its retry,
	// in one transaction.
	Interrupt(ctx context.Context, ended, retry *Run) error
	// Running returns the runs with status running, oldest first, with PID and
	// PIDStart.
	Running(ctx context.Context) ([]*Run, error)
	// GivenUp returns the runs that have failed because Lost reached maxLost and
	// that were not retried since, oldest first, ten at most.
	GivenUp(ctx context.Context) ([]*Run, error)
	// DropLaunches ends the queued launch runs of other server processes as
	// cancelled with that message, and returns how many, and the highest Lost.
	DropLaunches(ctx context.Context, process, message string) (n, lost int, err error)
	// Runs lists runs, newest first. A page may end before Limit if runs are
	// large; more reports whether there are others. Run returns one; notFound
	// if it does not exist.
	Runs(ctx context.Context, f Filter) (page []Run, more bool, err error)
	Run(ctx context.Context, runID string) (Run, error)
	// Waiting counts the queued runs.
	Waiting(ctx context.Context) (int, error)
	// WaitingBytes returns the size of the parameters of the queued runs of
	// events with that prefix, by user.
	WaitingBytes(ctx context.Context, prefix string) (map[string]int64, error)
	// Prune removes the oldest ended runs beyond keep runs or maxBytes.
	Prune(ctx context.Context, keep int, maxBytes int64) error
}

// ListedFile is one entry of the file list of a transfer.
type ListedFile struct {
	ManifestFile string // name given by fileMappings, without destinationPath
	FilePath     string // absolute final path on this server
	Path         string // path in the API
	Size         int64  // bytes
	Digest       string // ALGORITHM:HEX, empty where there is none
	Removed      bool   // the transfer has removed it
}

// Lister reads the file list of a transfer, in the order of the manifest.
type Lister interface {
	List(ctx context.Context, subject string) iter.Seq2[ListedFile, error]
}
