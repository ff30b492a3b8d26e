// Package bandwidth holds the limits on what a server sends and receives
// together, of all its transfers.
package bandwidth

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer/pace"
)

// settingsKey is the key under which Metadata keeps the limits.
const settingsKey = "bandwidthLimits"

// lendEvery is how often what one direction does not use is lent anew.
const lendEvery = 250 * time.Millisecond

// Limits are the limits of a server.
type Limits struct {
	Incoming       int64 `json:"incomingRateLimit" doc:"Highest rate of all that is received, in kbit/s; 0 is no limit" unit:"kbit/s"`
	Outgoing       int64 `json:"outgoingRateLimit" doc:"Highest rate of all that is sent, in kbit/s; 0 is no limit" unit:"kbit/s"`
	BorrowIncoming bool  `json:"borrowIncomingRate" doc:"Whether sending may use what receiving leaves of its limit"`
	BorrowOutgoing bool  `json:"borrowOutgoingRate" doc:"Whether receiving may use what sending leaves of its limit"`
}

// Change is a change of limits. A nil field stays as it is.
type Change struct {
	Incoming       *int64 `json:"incomingRateLimit" doc:"Highest rate of all that is received, in kbit/s; 0: no limit; absent: unchanged" validate:"omitempty,min=0,max=1000000000000" unit:"kbit/s"`
	Outgoing       *int64 `json:"outgoingRateLimit" doc:"Highest rate of all that is sent, in kbit/s; 0: no limit; absent: unchanged" validate:"omitempty,min=0,max=1000000000000" unit:"kbit/s"`
	BorrowIncoming *bool  `json:"borrowIncomingRate" doc:"Whether sending may use what receiving leaves of its limit; absent: unchanged"`
	BorrowOutgoing *bool  `json:"borrowOutgoingRate" doc:"Whether receiving may use what sending leaves of its limit; absent: unchanged"`
}

// Metadata stores strings by key, across restarts. *store.DB implements it.
type Metadata interface {
	Meta(ctx context.Context, name string) (string, error)
	SetMeta(ctx context.Context, name, value string) error
}

// Link keeps the limits. Safe for concurrent use.
type Link struct {
	// In and Out let pass what is received and what is sent.
	In, Out pace.Limiter

	metadata Metadata
	fixed    bool          // nothing but Fix changes the limits
	changed  chan struct{} // holds a token when the limits have changed

	updating sync.Mutex // held while limits are saved; guards fixed
	mu       sync.Mutex
	limits   Limits
}

// New returns a Link with the limits fixed, which nothing changes then, or with
// those that were saved.
func New(ctx context.Context, metadata Metadata, fixed *Limits) (*Link, error) {
	l := &Link{metadata: metadata, changed: make(chan struct{}, 1)}
	return l, l.Fix(ctx, fixed)
}

// Fix replaces the limits by fixed, which nothing but Fix changes then, or by those
// that were saved. After an error the former limits hold.
func (l *Link) Fix(ctx context.Context, fixed *Limits) error {
	l.updating.Lock()
	defer l.updating.Unlock()
	var next Limits
	if fixed != nil {
		next = *fixed
	} else {
		text, err := l.metadata.Meta(ctx, settingsKey)
		if err == nil && text != "" {
			err = json.Unmarshal([]byte(text), &next)
		}
		if err != nil {
			return api.Wrap(err, api.CodeInternal, "the bandwidth limits cannot be read")
		}
	}
	l.fixed = fixed != nil
	l.replace(next)
	return nil
}

// Limits returns the limits.
func (l *Link) Limits() Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limits
}

// Update changes and saves limits; they hold for running transfers at once.
// Codes: conflict if they are fixed.
func (l *Link) Update(ctx context.Context, c Change) (Limits, error) {
	l.updating.Lock()
	defer l.updating.Unlock()
	former := l.Limits()
	next := former
	set(&next.Incoming, c.Incoming)
	set(&next.Outgoing, c.Outgoing)
	set(&next.BorrowIncoming, c.BorrowIncoming)
	set(&next.BorrowOutgoing, c.BorrowOutgoing)
	if next == former {
		return next, nil
	}
	if l.fixed {
		return Limits{}, api.Errorf(api.CodeConflict, "the bandwidth limits of this server are given by its settings: change them there, and reload them (jetstream reload) or start it again")
	}
	text, err := json.Marshal(next)
	if err == nil {
		err = l.metadata.SetMeta(ctx, settingsKey, string(text))
	}
	if err != nil {
		return Limits{}, err
	}
	l.replace(next)
	return next, nil
}

func (l *Link) replace(next Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits = next
	l.apply(0, 0)
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// apply sets the limiters; unusedIn and unusedOut are what each direction lends
// to the other, in kbit/s. The caller holds mu or is New.
func (l *Link) apply(unusedIn, unusedOut int64) {
	in, out := l.limits.Incoming, l.limits.Outgoing
	if in > 0 && l.limits.BorrowOutgoing {
		in += unusedOut
	}
	if out > 0 && l.limits.BorrowIncoming {
		out += unusedIn
	}
	l.In.SetRate(in)
	l.Out.SetRate(out)
}

// lends reports whether one direction may borrow of the other.
func (l Limits) lends() bool {
	return l.Incoming > 0 && l.Outgoing > 0 && (l.BorrowIncoming || l.BorrowOutgoing)
}

// Serve lends each direction what the other has not used of its own limit, until
// ctx ends. Where nothing can be lent it waits for other limits.
func (l *Link) Serve(ctx context.Context) error {
	for {
		if l.Limits().lends() {
			l.lend(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.changed:
		}
	}
}

// lend is Serve as long as something can be lent.
func (l *Link) lend(ctx context.Context) {
	tick := time.NewTicker(lendEvery)
	defer tick.Stop()
	in, out, last := l.In.Passed(), l.Out.Passed(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		nowIn, nowOut, now := l.In.Passed(), l.Out.Passed(), time.Now()
		l.mu.Lock()
		if !l.limits.lends() {
			l.mu.Unlock()
			return
		}
		unused := func(limit, bytes int64) int64 {
			return max(limit-int64(float64(bytes)*8/1000/now.Sub(last).Seconds()), 0)
		}
		l.apply(unused(l.limits.Incoming, nowIn-in), unused(l.limits.Outgoing, nowOut-out))
		l.mu.Unlock()
		in, out, last = nowIn, nowOut, now
	}
}
