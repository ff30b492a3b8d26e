package triggers

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/api"
)

// Engine manages the queue and executes the scripts. Safe for concurrent use.
type Engine struct {
	o        Options
	scripts  scriptDir
	base     []string      // environment that all scripts get
	wake     chan struct{} // holds a token when a run may be due
	console  sync.Mutex
	children children
	buffers  sync.Pool // of *[]byte, for reading outputs
	// background counts the goroutines of Serve and those that drain output
	// which outlives its run.
	background sync.WaitGroup

	limits atomic.Pointer[Limits]

	// Durations that tests shorten.
	slowAfter  time.Duration // after which a script that others wait for is logged
	outputWait time.Duration // how long to wait for the end of output after the exit of a script
	retryAfter time.Duration // between attempts while the database fails

	// gate serializes the start of a run, a pause and a cancellation. It is
	// held while they are saved.
	gate   sync.Mutex
	paused atomic.Bool

	mu      sync.Mutex
	access  APIAccess
	running map[string]*current // by runId
	counts  map[string]map[Status]int64
	drops   map[DropReason]*drop
	// placeWaits holds why something waits for the place, by what waits: runs,
	// and recoverQueue.
	placeWaits map[string]string
	stopped    time.Time // when Serve was told to end
	unpruned   int       // ended runs since the last prune
	unprunedB  int64     // their size

	ran, waiting atomic.Int64
	payloads     payloads
	lostLaunches int         // how many launches in a row were lost; for recoverQueue
	saveFailing  atomic.Bool // the last attempt to save a run or an on.* event failed
}

// New returns an engine. Scripts run while Serve does. New does not examine the
// trigger directory: see CheckDir.
func New(o Options) (*Engine, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	e := &Engine{
		o: o, base: baseEnvironment(o.Environ, o.Env), wake: make(chan struct{}, 1),
		slowAfter: time.Minute, outputWait: 2 * time.Second, retryAfter: time.Second,
		running: map[string]*current{}, counts: map[string]map[Status]int64{}, drops: map[DropReason]*drop{}, placeWaits: map[string]string{},
		scripts: scriptDir{path: o.Dir, log: o.Log, names: map[string]bool{}},
	}
	e.SetLimits(o.limits())
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
	if o.Dir != "" {
		_ = e.scripts.look() // logs it
	}
	if e.payloads.ofUser, err = o.Store.WaitingBytes(ctx, commandPrefix); err != nil {
		return nil, errUnread(err)
	}
	for _, n := range e.payloads.ofUser {
		e.payloads.total += n
	}
	e.waiting.Store(int64(waiting))
	e.paused.Store(paused)
	return e, nil
}

func errUnread(err error) error {
	return api.Wrap(err, api.CodeInternal, "the trigger queue could not be read")
}

// SetLimits replaces the limits. They hold for what begins from now on.
func (e *Engine) SetLimits(l Limits) {
	l.fill()
	e.limits.Store(&l)
}

// Limits returns the present limits.
func (e *Engine) Limits() Limits { return *e.limits.Load() }

// Dir returns the trigger directory, empty if there are no triggers.
func (e *Engine) Dir() string { return e.o.Dir }

// SetAPI sets how scripts reach this server. It must be called before Serve,
// after the listener is bound.
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

// Run returns a run. Codes: notFound.
func (e *Engine) Run(ctx context.Context, runID string) (Run, error) {
	return e.o.Store.Run(ctx, runID)
}

// Waiting returns the number of queued runs.
func (e *Engine) Waiting(ctx context.Context) (int, error) { return e.o.Store.Waiting(ctx) }

// Queued is Waiting by the count of the engine, without reading the database.
// It may include runs that are just being saved.
func (e *Engine) Queued() int { return int(max(e.waiting.Load(), 0)) }
