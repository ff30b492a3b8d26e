package triggers

import (
	"context"
	"encoding/json"
	"iter"
	"math"

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
	// Seq is the order in the queue, given by the database when the run has been saved.
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

	// Urgent is 0 for a run in the order of Seq. A further attempt at an event
	// whose script was interrupted has a number above 0 and goes before all
	// runs with a lower one.
	Urgent int64 `json:"-"`

	// Subject and Key are the Cause's.
	Subject string `json:"-"`
	Key     string `json:"-"`
	// PID and PIDStart name the running process group's leader over restarts
	// of the server: PIDStart is when it began, as the platform's code writes
	// it. 0 while unknown.
	PID      int    `json:"-"`
	PIDStart uint64 `json:"-"`
	// Process is the serverId of the server process that queued the run: a
	// launch of a former process is dropped.
	Process string `json:"-"`

	described json.RawMessage // see describe
}

// Tx is a database transaction as triggers need it.
type Tx interface {
	stream.Tx
	// InsertRun saves a run, which must not be changed any more, by the
	// transaction's end, and sets its Seq by then.
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

// Place is a place in the queue: the higher Urgent goes first, then the lower
// Seq.
type Place struct{ Urgent, Seq int64 }

// Front is the place before all runs.
func Front() Place { return Place{Urgent: math.MaxInt64} }

// Place is where the run stands in the queue.
func (r *Run) Place() Place { return Place{r.Urgent, r.Seq} }

// Before tells whether p comes before q.
func (p Place) Before(q Place) bool {
	return p.Urgent > q.Urgent || p.Urgent == q.Urgent && p.Seq < q.Seq
}

// Outcome counts the kept records of an event's runs that ended in one way.
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
	// Next returns the first queued run, or nil.
	Next(ctx context.Context) (*Run, error)
	// NextFew returns the first queued runs in their order, limit at most and
	// fewer where they are large.
	NextFew(ctx context.Context, limit int) ([]*Run, error)
	// NextBehind returns the first queued run behind a place whose Key is none
	// of busy, or nil. No run up to the place seen, itself left out, has been
	// overlooked but those of busy keys, nor can one come to be queued there.
	NextBehind(ctx context.Context, place Place, busy []string) (r *Run, seen Place, err error)
	// UseLanes tells whether NextOf will be asked, so that others need not pay
	// for its index.
	UseLanes(ctx context.Context, use bool) error
	// NextOf returns the first queued run of a key, or nil.
	NextOf(ctx context.Context, key string) (*Run, error)
	// Oldest is when the run that has waited longest was queued; 0 when none waits.
	Oldest(ctx context.Context) (api.Time, error)
	// Start is Mark for a run that is still queued; false when it is not.
	Start(ctx context.Context, r *Run) (bool, error)
	// EndAndStart is Mark for a run that has ended and Start for the one that
	// goes next, in one transaction.
	EndAndStart(ctx context.Context, ended, next *Run) (started bool, err error)
	// Cancel ends a queued run as cancelled with that message; false when it
	// is not queued.
	Cancel(ctx context.Context, runID, message string) (bool, error)
	// Retry queues what again makes of a run that has ended, whose Attempt is
	// set to that of the event's last run before. Codes: notFound; conflict
	// while a run of that event waits or runs.
	Retry(ctx context.Context, runID string, again func(Run) *Run) (Run, error)
	// Paused and SetPaused keep whether the queue stands still.
	Paused(ctx context.Context) (bool, error)
	SetPaused(ctx context.Context, paused bool) error
	// Outcomes counts the records by event and status.
	Outcomes(ctx context.Context) ([]Outcome, error)
	// Mark saves the mutable fields of a run (status, times, exit,
	// output). It survives kill -9, not necessarily a power cut.
	Mark(ctx context.Context, r *Run) error
	// MarkProcess saves the PID and PIDStart of a run that runs, for Running
	// alone; it survives kill -9, not a restart of the machine.
	MarkProcess(r *Run) error
	// Interrupt ends a run that was running when its process ended as
	// interrupted and queues again, its next attempt, in one transaction.
	Interrupt(ctx context.Context, ended, again *Run) error
	// Running returns the runs with status running, oldest first, with their
	// processes.
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
