// Package sender sends the pending transfers of the engine, by priority and
// age. It connects to the receiver, trades the password for a ticket and
// streams the files of the manifest. After a broken connection it connects
// again and sends what is missing.
package sender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/localhost"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/pace"
	"jetstream/internal/transfer/wire"
)

// Engine is the part of transfer.Engine that the sender needs.
type Engine interface {
	Wake() <-chan struct{}
	Watch(id string) (changes <-chan struct{}, stop func())
	Runnable(ctx context.Context, except []string, limit int) ([]transfer.Transfer, error)
	LoadTransfer(ctx context.Context, transferID string) (transfer.Transfer, error)
	Change(ctx context.Context, transferID string, change func(*transfer.Transfer) error) (transfer.Transfer, error)
	Entitled(ctx context.Context, owner string) error
	Password(t *transfer.Transfer) (string, error)
	Progress(transferID string, p transfer.Progress)
	NextAttempt(transferID string, at time.Time)
	LoadDestination(ctx context.Context, destinationID string) (transfer.Destination, error)
	PinKey(ctx context.Context, destinationID, key string) error
	Reached(destinationID string)
	Unreached(destinationID string, err error)
	LoadManifestFiles(ctx context.Context, manifestID string, from int64, limit int) ([]transfer.ManifestFile, error)
	Sources(ctx context.Context, t *transfer.Transfer) (*transfer.Sources, error)
	MirrorSource(ctx context.Context, manifestID string) (*transfer.MirrorSource, error)
	SaveSent(ctx context.Context, t *transfer.Transfer, list []transfer.SentSource) error
	DropSent(ctx context.Context, t *transfer.Transfer, from int64) (first *transfer.SentSource, err error)
}

// Options configure a Sender.
type Options struct {
	// Engine manages the transfers. Required.
	Engine Engine
	// Identity is the key of this server. Required.
	Identity *wire.Identity
	// ServerUID and Software are sent to receivers in the handshake.
	ServerUID, Software string
	// Log is for the operator; nil discards it.
	Log *slog.Logger
	// Outgoing limits what all transfers together send; nil: nothing does.
	Outgoing *pace.Limiter
	// Concurrent is how many transfers are sent at the same time; 0 is 8.
	Concurrent int
	// Lanes is how many connections carry the data of a transfer at first; 0 is 4.
	// There are up to 16 where BBR is wanted and not to be had, or where their
	// windows hold up the transfer.
	Lanes int
	// Congestion is the congestion control of the connections, where the system
	// lets it be chosen: auto (also if empty), bbr or cubic.
	Congestion string
	// Policy is how links are shared with others: fair (also if empty), or low,
	// which leaves others most of it and replaces Lanes and Congestion. Only Linux
	// has low.
	Policy string
	// Dial connects to a receiver; nil is TCP with keepalive and a timeout of
	// 10 s.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// The first and the longest wait between attempts; each is twice the one before.
// A transfer that has moved within the last two minutes is tried more often, so
// that a link that pauses for a minute costs little more.
const (
	firstWait  = time.Second
	mostWait   = 10 * time.Second
	shortWait  = 3 * time.Second
	shortSince = 2 * time.Minute
)

// notifyFor is how long after the end of a transfer the sender tries to notify
// its receiver.
const notifyFor = 48 * time.Hour

// Sender sends transfers. Serve may run once.
type Sender struct {
	o           Options
	log         *slog.Logger
	sent        atomic.Int64
	limits      limits
	connections connections
	dryRuns     chan struct{} // holds a token for each dry run that is going on
	probes      chan struct{} // holds a token for each receiver that is being asked for its key
	compressor  wire.Compressor
	unchanged   unchanged
	// refused is done once the operator was told that the congestion control
	// cannot be chosen.
	refused sync.Once
}

// hello is the first message of every connection.
func (s *Sender) hello() wire.Hello {
	return wire.Hello{
		MinVersion: wire.MinVersion, MaxVersion: wire.MaxVersion,
		ServerUID: s.o.ServerUID, Software: s.o.Software,
	}
}

// BytesSent returns the number of bytes of files that receivers have confirmed
// since New.
func (s *Sender) BytesSent() int64 { return s.sent.Load() }

// New returns a Sender. It sends while Serve runs.
func New(o Options) (*Sender, error) {
	if o.Engine == nil || o.Identity == nil {
		return nil, errors.New("sender: Engine and Identity are required")
	}
	if o.Concurrent == 0 {
		o.Concurrent = 8
	}
	if o.Lanes == 0 {
		o.Lanes = defaultLanes
	}
	if o.Congestion == "" {
		o.Congestion = CongestionAuto
	}
	if !slices.Contains(Congestions(), o.Congestion) {
		return nil, fmt.Errorf("sender: there is no congestion control %q: choose one of %s", o.Congestion, strings.Join(Congestions(), ", "))
	}
	if o.Policy == "" {
		o.Policy = PolicyFair
	}
	if !slices.Contains(Policies(), o.Policy) {
		return nil, fmt.Errorf("sender: there is no policy %q: choose one of %s", o.Policy, strings.Join(Policies(), ", "))
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		d := net.Dialer{
			Timeout:         10 * time.Second,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6},
		}
		dial := localhost.Dial(d.DialContext)
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) { return dial(ctx, "tcp", address) }
	}
	return &Sender{o: o, log: o.Log, dryRuns: make(chan struct{}, maxDryRuns), probes: make(chan struct{}, maxProbes)}, nil
}

// waiting is a transfer between two attempts.
type waiting struct {
	due   time.Time
	delay time.Duration // the last backoff
	moved time.Time     // when data were last confirmed
	firm  bool          // the receiver asked for the delay: a wake does not shorten it
	// unreachable reports that the receiver could not be reached at the last
	// attempt, which ended at tried.
	unreachable bool
	tried       time.Time
}

// result is the result of an attempt.
type result struct {
	id          string
	retry       bool
	after       time.Duration // minimum delay that the receiver asked for
	progressed  bool          // data were confirmed: the backoff begins anew
	unreachable bool          // the receiver could not be reached
}

// after returns how long the transfer waits after an attempt that ended at now; w is nil
// after the first one.
func (w *waiting) after(r result, now time.Time) *waiting {
	if w == nil || r.progressed {
		w = &waiting{delay: firstWait / 2}
	}
	if r.progressed {
		w.moved = now
	}
	longest := mostWait
	if now.Sub(w.moved) < shortSince {
		longest = shortWait
	}
	w.delay = min(2*w.delay, longest)
	w.due = now.Add(max(w.delay, r.after))
	w.firm = r.after > 0
	w.unreachable, w.tried = r.unreachable, now
	return w
}

// heldBack returns those of the due transfers that must wait for others.
// Transfers whose receivers could not be reached may occupy only half of the
// slots, since each dial takes until its timeout. Those that were tried longest
// ago come first.
func (s *Sender) heldBack(due []string, waits map[string]*waiting, running map[string]bool) []string {
	slots := max(1, s.o.Concurrent/2)
	for _, unreachable := range running {
		if unreachable {
			slots--
		}
	}
	due = slices.DeleteFunc(due, func(id string) bool { return !waits[id].unreachable })
	slices.SortFunc(due, func(a, b string) int { return waits[a].tried.Compare(waits[b].tried) })
	return due[min(max(slots, 0), len(due)):]
}

// Serve sends transfers until ctx ends. Then it interrupts them, to be
// continued at the next start, and returns nil once their connections are
// closed.
func (s *Sender) Serve(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	running := map[string]bool{} // by id: whether the receiver was unreachable before
	waits := map[string]*waiting{}
	results := make(chan result, s.o.Concurrent)
	retry := firstWait // after a failure of the database
	for {
		now := time.Now()
		next := time.Time{} // when the next transfer is due; zero if none is
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
		except = append(except, s.heldBack(due, waits, running)...)
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
				running[t.TransferID] = w != nil && w.unreachable
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
			if !r.retry {
				delete(waits, r.id)
				s.unchanged.forget(r.id)
				continue
			}
			w := waits[r.id].after(r, time.Now())
			waits[r.id] = w
			s.o.Engine.NextAttempt(r.id, w.due)
		}
	}
}
