package transfer

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/stream"
)

// Options sets an Engine up.
type Options struct {
	// Store keeps destinations, manifests and transfers. Required.
	Store Store
	// Emitter queues the scripts of events within the transaction that
	// changes a state. Required.
	Emitter Emitter
	// Stream is the log of what happened: it gets every change of a transfer's
	// state and its progress. nil: none.
	Stream *stream.Log
	// Accounts tells which directory a user's paths mean. Required.
	Accounts *account.Service
	// SealKey is the key that remote passwords are sealed with while they wait
	// in the database. It comes from the server's key file. Required: a key of
	// zeros is refused.
	SealKey [32]byte
	// RecvHost and RecvPort are where this server receives: the address as it
	// was configured (empty: all interfaces) and the port that it really got.
	RecvHost string
	RecvPort int
	// ExternalAddress is the host, or host:port, by which others reach this
	// server; empty when it was not configured. It is the sender of the
	// destination events when there is no route to the destination.
	ExternalAddress string
	// Resolver looks up destination addresses; nil is the system's.
	Resolver *net.Resolver
	// ResolveTimeout bounds the look-up when a destination is made; 0 is 2 s.
	ResolveTimeout time.Duration
	// Walkers is how many manifests are walked at the same time; 0 is 4.
	Walkers int
	// PageSize is how many entries of a manifest are saved in one transaction
	// and held in memory; 0 is 1000.
	PageSize int
	// SaveEvery is how often the progress of a transfer is saved at most; 0 is
	// 3 s.
	SaveEvery time.Duration
	// Log gets causes that callers do not see; nil drops them.
	Log *slog.Logger
}

// Engine keeps destinations, manifests and sent transfers and walks the
// sources of manifests. It moves no bytes: package sender does, by way of
// Runnable, Change, Progress and Sources. Safe for concurrent use.
type Engine struct {
	o        Options
	watchers watchers
	wake     chan struct{} // holds one token: something may be runnable
	walkWake chan struct{} // holds one token: a manifest waits, or file lists are to be purged

	mu    sync.Mutex
	live  map[string]*liveProgress      // by transfer id
	walks map[string]context.CancelFunc // by manifest id: walks that run now
}

// New makes an Engine; Serve must run for manifests to be walked.
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
		o: o, wake: make(chan struct{}, 1), walkWake: make(chan struct{}, 1),
		live: map[string]*liveProgress{}, walks: map[string]context.CancelFunc{},
	}, nil
}

// Wake receives whenever a transfer may have become runnable: one was made or
// is to be told to its receiver as cancelled. It is for one reader, which looks
// with Runnable; signals that nobody took are joined into one.
func (e *Engine) Wake() <-chan struct{} { return e.wake }

// Watch tells about changes of the state of a manifest or transfer: the
// channel receives after each change, joined into one when nobody took the
// one before. Begin to watch, then look: nothing is missed. Call stop at the
// end.
func (e *Engine) Watch(id string) (changes <-chan struct{}, stop func()) {
	return e.watchers.add(id)
}

// signal puts a token into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
