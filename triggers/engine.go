package triggers

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/api"
)

// MaxDepth is how long a chain of scripts that call the API may get: at this
// depth of the caller, on.* events are dropped.
const MaxDepth = 8

// Engine keeps the queue and runs the scripts. Safe for concurrent use.
type Engine struct {
	o        Options
	base     []string      // environment that every script gets
	wake     chan struct{} // holds one token when something may be waiting
	console  sync.Mutex
	children children
	buffers  sync.Pool // *[]byte to read outputs with
	// background are Serve's goroutines and the drainers of output that
	// outlives its run.
	background sync.WaitGroup

	// Times that tests shorten.
	slowAfter  time.Duration // a script that runs longer while others wait is named in the log
	outputWait time.Duration // how long output may stay open after the script's exit
	retryAfter time.Duration // between attempts to reach a database that fails

	mu          sync.Mutex
	access      APIAccess
	loopLogged  time.Time
	loopDropped int
	unpruned    int   // ended runs since the last pruning
	unprunedB   int64 // their bytes

	ran, dropped atomic.Int64
}

// New makes an engine; it starts nothing. The trigger directory is not
// examined: see CheckDir.
func New(o Options) (*Engine, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	e := &Engine{
		o: o, base: baseEnvironment(o.Environ, o.Env), wake: make(chan struct{}, 1),
		slowAfter: time.Minute, outputWait: 2 * time.Second, retryAfter: time.Second,
	}
	e.buffers.New = func() any {
		b := make([]byte, 32<<10)
		return &b
	}
	return e, nil
}

// Dir is the trigger directory, empty when there are no triggers.
func (e *Engine) Dir() string { return e.o.Dir }

// SetAPI tells where scripts reach this server. Call it once the listener is
// bound, before Serve.
func (e *Engine) SetAPI(a APIAccess) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.access = a
}

// Queue writes the event into the log and saves a run of its script, if such a
// script is there now, within the caller's transaction. The run begins some
// time after the commit. An error must fail the transaction.
func (e *Engine) Queue(tx Tx, ev Event) error {
	if err := e.note(tx, ev); err != nil {
		return err
	}
	if !e.wanted(ev) {
		return nil
	}
	return e.insert(tx, ev)
}

// Emit is Queue in a transaction of its own: when it returns nil, the event is
// on disk and its script will run. An event that could not be saved counts as
// dropped.
func (e *Engine) Emit(ctx context.Context, ev Event) error {
	wanted := e.wanted(ev)
	if !wanted && !e.logged(ev) {
		return nil
	}
	err := e.o.Store.Update(ctx, func(tx Tx) error {
		if err := e.note(tx, ev); err != nil || !wanted {
			return err
		}
		return e.insert(tx, ev)
	})
	if err != nil {
		e.dropped.Add(1)
		return api.Wrap(err, api.CodeInternal, "event %s could not be saved", ev.Name)
	}
	return nil
}

// wanted tells whether the event has a script and is not the far end of a loop.
func (e *Engine) wanted(ev Event) bool {
	if e.o.Dir == "" || !scriptExists(e.o.Dir, ev.Name) {
		return false
	}
	if ev.Cause.Depth >= MaxDepth && strings.HasPrefix(ev.Name, commandPrefix) {
		e.dropLoop(ev)
		return false
	}
	return true
}

// dropLoop counts an event of a too long chain and says so, at most once a
// minute: a script in a loop must not fill the log either.
func (e *Engine) dropLoop(ev Event) {
	e.dropped.Add(1)
	e.mu.Lock()
	e.loopDropped++
	n, due := e.loopDropped, e.loopLogged.IsZero() || time.Since(e.loopLogged) >= time.Minute
	if due {
		e.loopLogged, e.loopDropped = time.Now(), 0
	}
	e.mu.Unlock()
	if due {
		e.o.Log.Warn("event dropped: scripts call the API, which runs scripts, too deep; end the loop",
			"event", ev.Name, "depth", ev.Cause.Depth, "user", ev.Cause.User, "dropped", n)
	}
}

func (e *Engine) insert(tx Tx, ev Event) error {
	now := api.Now()
	parameters := ev.Parameters
	if len(parameters) == 0 {
		parameters = json.RawMessage(`{}`)
	}
	r := &Run{
		RunID: api.NewID(), Event: ev.Name, EventID: api.NewID(), Attempt: 1, Status: StatusQueued,
		Parameters: parameters, EventTime: now, QueueTime: now,
		RequestID: ev.Cause.RequestID, User: ev.Cause.User, TransferID: ev.Cause.TransferID,
		Depth: ev.Cause.Depth + 1, Subject: ev.Cause.Subject, Key: ev.Cause.Key, Process: e.o.ProcessID,
	}
	if err := tx.InsertRun(r); err != nil {
		return err
	}
	tx.AfterCommit(e.notice)
	return nil
}

// notice wakes the runner.
func (e *Engine) notice() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// again is the next attempt at the event of a run that did not come to its end.
func (e *Engine) again(r *Run) *Run {
	return &Run{
		RunID: api.NewID(), Event: r.Event, EventID: r.EventID, Attempt: r.Attempt + 1, Status: StatusQueued,
		Parameters: slices.Clone(r.Parameters), EventTime: r.EventTime, QueueTime: api.Now(),
		RequestID: r.RequestID, User: r.User, TransferID: r.TransferID, Depth: r.Depth,
		Subject: r.Subject, Key: r.Key, Process: r.Process,
	}
}

// Runs lists runs newest first; more tells whether there are further ones.
func (e *Engine) Runs(ctx context.Context, f Filter) (page []Run, more bool, err error) {
	return e.o.Store.Runs(ctx, f)
}

// Run shows one run; notFound otherwise.
func (e *Engine) Run(ctx context.Context, runID string) (Run, error) {
	return e.o.Store.Run(ctx, runID)
}

// Waiting counts the runs in the queue.
func (e *Engine) Waiting(ctx context.Context) (int, error) { return e.o.Store.Waiting(ctx) }

// Report is what an engine has done, for the last line of a server's log.
type Report struct {
	// Ran counts the scripts that ended, Waiting the runs that stay in the
	// queue, Dropped the events that got none.
	Ran, Waiting, Dropped int
}

// Report tells what the engine has done so far.
func (e *Engine) Report(ctx context.Context) (Report, error) {
	waiting, err := e.Waiting(ctx)
	return Report{Ran: int(e.ran.Load()), Waiting: waiting, Dropped: int(e.dropped.Load())}, err
}
