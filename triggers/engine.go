package triggers

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/api"
)

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

	// gate keeps the start of a run, a pause and a cancel apart; it is held
	// while they are saved.
	gate   sync.Mutex
	paused atomic.Bool

	mu        sync.Mutex
	access    APIAccess
	running   map[string]*current // by runId
	counts    map[string]map[Status]int64
	drops     map[DropReason]*drop
	unpruned  int   // ended runs since the last pruning
	unprunedB int64 // their bytes

	ran, waiting atomic.Int64
	saveFailing  atomic.Bool // the last attempt to save a run or an on.* event failed
	// roomless counts what waits for room on the disk, whatever else is saved
	// meanwhile: runs, and the order of the queue at the start.
	roomless atomic.Int32
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
		running: map[string]*current{}, counts: map[string]map[Status]int64{}, drops: map[DropReason]*drop{},
	}
	e.buffers.New = func() any {
		b := make([]byte, 32<<10)
		return &b
	}
	ctx := context.Background()
	waiting, err := o.Store.Waiting(ctx)
	if err != nil {
		return nil, errUnread(err)
	}
	paused, err := o.Store.Paused(ctx)
	if err != nil {
		return nil, errUnread(err)
	}
	e.waiting.Store(int64(waiting))
	e.paused.Store(paused)
	return e, nil
}

func errUnread(err error) error {
	return api.Wrap(err, api.CodeInternal, "the trigger queue could not be read")
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

// Runs lists runs newest first; next is the Before of the next page, 0 at the
// end. A page may hold fewer than Limit where runs are large.
func (e *Engine) Runs(ctx context.Context, f Filter) (page []Run, next int64, err error) {
	page, more, err := e.o.Store.Runs(ctx, f)
	if more && len(page) > 0 {
		next = page[len(page)-1].Seq
	}
	return page, next, err
}

// Run shows one run; notFound otherwise.
func (e *Engine) Run(ctx context.Context, runID string) (Run, error) {
	return e.o.Store.Run(ctx, runID)
}

// Waiting counts the runs in the queue.
func (e *Engine) Waiting(ctx context.Context) (int, error) { return e.o.Store.Waiting(ctx) }

// Queued is Waiting as the engine counts by itself, without asking the
// database: what is being saved just now may be counted already.
func (e *Engine) Queued() int { return int(max(e.waiting.Load(), 0)) }
