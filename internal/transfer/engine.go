package transfer

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/stream"
)

// Options configure an Engine.
type Options struct {
	// Store keeps destinations, manifests and transfers. Required.
	Store Store
	// Emitter queues the scripts of events in the transaction that changes a
	// state. Required.
	Emitter Emitter
	// Stream is the event log, which gets each change of a transfer's state and
	// its progress; nil discards them.
	Stream *stream.Log
	// Accounts opens the sandboxes of users. Required.
	Accounts *account.Service
	// SealKey is the key that remote passwords are encrypted with in the
	// database. Required: a key of zeros is refused.
	SealKey [32]byte
	// RecvHost is the configured address of the receiver (empty: all
	// interfaces), RecvPort the port that it listens on.
	RecvHost string
	RecvPort int
	// ExternalAddress is the host or host:port by which other servers reach
	// this one; empty if it is not configured. It is the sender in the events
	// of destinations to which there is no route.
	ExternalAddress string
	// Resolver resolves the addresses of destinations; nil is the resolver of
	// the system.
	Resolver *net.Resolver
	// ResolveTimeout bounds the lookup when a destination is made; 0 is 2 s.
	ResolveTimeout time.Duration
	// Walkers is how many manifests are walked at the same time; 0 is 4.
	Walkers int
	// PageSize is how many entries of a manifest are saved in one transaction
	// and held in memory; 0 is 1000.
	PageSize int
	// SaveEvery is the minimum time between two saves of the progress of a
	// transfer; 0 is 3 s.
	SaveEvery time.Duration
	// Log gets the causes of errors, which callers do not see; nil discards
	// them.
	Log *slog.Logger
}

// Engine manages destinations, manifests and sent transfers, and walks the
// sources of manifests. Files are sent by package sender, which uses Runnable,
// Change, Progress and Sources. Safe for concurrent use.
//
// Methods that take a caller return notFound for objects that it may not see.
type Engine struct {
	o        Options
	watchers watchers
	wake     chan struct{} // holds a token when a transfer may be runnable
	walkWake chan struct{} // holds a token when a manifest waits or file lists must be purged
	// deleteWake holds a token when sources are to be removed.
	deleteWake chan struct{}

	mu    sync.Mutex
	live  map[string]*liveProgress      // by transfer id
	walks map[string]context.CancelFunc // by manifest id: running walks
	// attempts says, by transfer id, when one that waits is tried again.
	attempts map[string]api.Time
}

// New returns an Engine. Manifests are only walked while Serve runs.
func New(o Options) (*Engine, error) {
	switch {
	case o.Store == nil || o.Emitter == nil || o.Accounts == nil:
		return nil, errors.New("transfer: Store, Emitter and Accounts are required")
	case o.SealKey == [32]byte{}:
		return nil, errors.New("transfer: SealKey is required")
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.ResolveTimeout == 0 {
		o.ResolveTimeout = 2 * time.Second
	}
	if o.Walkers == 0 {
		o.Walkers = 4
	}
	if o.PageSize == 0 {
		o.PageSize = 1000
	}
	if o.SaveEvery == 0 {
		o.SaveEvery = 3 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{
		o: o, wake: make(chan struct{}, 1), walkWake: make(chan struct{}, 1), deleteWake: make(chan struct{}, 1),
		live: map[string]*liveProgress{}, walks: map[string]context.CancelFunc{},
		attempts: map[string]api.Time{},
	}, nil
}

// Wake returns a channel that receives a value whenever a transfer may have
// become runnable. It is for one reader, which then calls Runnable. Several
// signals may be merged into one.
func (e *Engine) Wake() <-chan struct{} { return e.wake }

// Watch returns a channel that receives a value after changes of a manifest or
// transfer. Several signals may be merged into one. Read the object after Watch
// to miss no change. stop must be called at the end.
func (e *Engine) Watch(id string) (changes <-chan struct{}, stop func()) {
	return e.watchers.add(id)
}

// signal puts a token into a channel with room for one, unless it holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
