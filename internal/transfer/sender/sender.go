// Package sender sends what is pending in the engine: it picks transfers by
// priority and age, dials their receivers, trades passwords for tickets and
// streams the files of the manifests. A connection that breaks is dialled
// again and goes on with what is missing.
package sender

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// Engine is what the sender needs of transfer.Engine.
type Engine interface {
	Wake() <-chan struct{}
	Watch(id string) (changes <-chan struct{}, stop func())
	Runnable(ctx context.Context, except []string, limit int) ([]transfer.Transfer, error)
	LoadTransfer(ctx context.Context, transferID string) (transfer.Transfer, error)
	Change(ctx context.Context, transferID string, change func(*transfer.Transfer) error) (transfer.Transfer, error)
	Entitled(ctx context.Context, owner string) error
	Password(t *transfer.Transfer) (string, error)
	Progress(transferID string, p transfer.Progress)
	LoadDestination(ctx context.Context, destinationID string) (transfer.Destination, error)
	PinKey(ctx context.Context, destinationID, key string) error
	Reached(destinationID string)
	Unreached(destinationID string, err error)
	LoadManifestFiles(ctx context.Context, manifestID string, from int64, limit int) ([]transfer.ManifestFile, error)
	Sources(ctx context.Context, t *transfer.Transfer) (*transfer.Sources, error)
}

// Options sets a Sender up.
type Options struct {
	// Engine keeps the transfers. Required.
	Engine Engine
	// Identity is this server's key. Required.
	Identity *wire.Identity
	// ServerUID and Software are told to receivers in the handshake.
	ServerUID, Software string
	// Log gets what the operator should know; nil is silent.
	Log *slog.Logger
	// Concurrent is how many transfers are worked on at a time; 0 is 8.
	Concurrent int
	// Dial connects to a receiver; nil is TCP with keepalive, given up after
	// 10 s.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// The waits between attempts, doubling from first to most.
const (
	firstWait = time.Second
	mostWait  = 10 * time.Second
)

// tellFor is how long after the end of a transfer its receiver is tried to be
// told.
const tellFor = 48 * time.Hour

// Sender sends transfers. Serve may run once.
type Sender struct {
	o    Options
	log  *slog.Logger
	sent atomic.Int64
}

// BytesSent is how many bytes of files receivers have confirmed since New.
func (s *Sender) BytesSent() int64 { return s.sent.Load() }

// New makes a Sender; Serve runs it.
func New(o Options) (*Sender, error) {
	if o.Engine == nil || o.Identity == nil {
		return nil, errors.New("sender: Engine and Identity are required")
	}
	if o.Concurrent == 0 {
		o.Concurrent = 8
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		d := net.Dialer{
			Timeout:         10 * time.Second,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6},
		}
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }
	}
	return &Sender{o: o, log: o.Log}, nil
}

// waiting is a transfer between two attempts.
type waiting struct {
	due   time.Time
	delay time.Duration // the last back-off
	firm  bool          // the receiver asked for it: no wake shortens it
	// silent tells that the receiver could not be reached the last time, tried
	// when that was found.
	silent bool
	tried  time.Time
}

// result is how an attempt ended.
type result struct {
	id         string
	again      bool
	after      time.Duration // at least; the receiver asked for it
	progressed bool          // the back-off begins anew
	silent     bool          // the receiver could not be reached
}

// leaveOut picks, of the transfers that are due, those that must wait all the
// same: receivers that could not be reached the last time share half of the
// places, who was tried longest ago first. To find out that somebody is still
// silent takes until the dial is given up; all places would soon be taken by
// that.
func (s *Sender) leaveOut(due []string, waits map[string]*waiting, running map[string]bool) []string {
	places := max(1, s.o.Concurrent/2)
	for _, silent := range running {
		if silent {
			places--
		}
	}
	due = slices.DeleteFunc(due, func(id string) bool { return !waits[id].silent })
	slices.SortFunc(due, func(a, b string) int { return waits[a].tried.Compare(waits[b].tried) })
	return due[min(max(places, 0), len(due)):]
}

// Serve sends until ctx ends; then it stops its transfers, which go on at the
// next start, and returns nil once their connections are closed.
func (s *Sender) Serve(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	running := map[string]bool{} // whether the receiver was silent before
	waits := map[string]*waiting{}
	results := make(chan result, s.o.Concurrent)
	retry := firstWait // after a failure of the database
	for {
		now := time.Now()
		next := time.Time{} // when to look again; zero: only when something happens
		except := make([]string, 0, len(running)+len(waits))
		for id := range running {
			except = append(except, id)
		}
		var due []string
		for id, w := range waits {
			if _, ok := running[id]; ok {
				continue
			}
			if !w.due.After(now) {
				due = append(due, id)
				continue
			}
			except = append(except, id)
			if next.IsZero() || w.due.Before(next) {
				next = w.due
			}
		}
		except = append(except, s.leaveOut(due, waits, running)...)
		if free := s.o.Concurrent - len(running); free > 0 {
			list, err := s.o.Engine.Runnable(ctx, except, free)
			if err != nil && ctx.Err() == nil {
				s.log.Error("the transfers to send could not be read", "error", err, "retry", retry)
				next, retry = now.Add(retry), min(2*retry, mostWait)
			}
			if err == nil {
				retry = firstWait
			}
			for _, t := range list {
				w := waits[t.TransferID]
				running[t.TransferID] = w != nil && w.silent
				wg.Go(func() { results <- s.attempt(ctx, t) })
			}
		}
		var timer <-chan time.Time
		if !next.IsZero() && len(running) < s.o.Concurrent {
			timer = time.After(next.Sub(now))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.o.Engine.Wake():
			for _, w := range waits {
				if !w.firm {
					w.due = time.Time{}
				}
			}
		case <-timer:
		case r := <-results:
			delete(running, r.id)
			if !r.again {
				delete(waits, r.id)
				continue
			}
			w := waits[r.id]
			if w == nil || r.progressed {
				w = &waiting{delay: firstWait / 2}
				waits[r.id] = w
			}
			w.delay = min(2*w.delay, mostWait)
			w.due = time.Now().Add(max(w.delay, r.after))
			w.firm = r.after > 0
			w.silent, w.tried = r.silent, time.Now()
		}
	}
}
