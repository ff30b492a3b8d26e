// Package retention removes transfers and manifests that are older than a
// configured lifetime, or the oldest while the database is too large, and ends arriving transfers whose senders stay away:
// periodically and on demand.
package retention

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"jetstream/internal/api"
)

// The initial Settings, in seconds.
const (
	DefaultInterval       = 3600
	DefaultObjectLifetime = 48 * 3600
)

const (
	// spaceEvery is how often the size of the database is looked at.
	spaceEvery = 5 * time.Minute
	// leastAge is how old records are at least that are removed for their size: a
	// manifest may be about to be sent, and a sender may ask how its transfer ended.
	leastAge = time.Hour
	// oldest is from which age on records are removed first for their size, if there is
	// no lifetime.
	oldest = 365 * 24 * time.Hour
)

// The keys under which Metadata keeps the settings and the time of the last
// run.
const (
	settingsKey = "garbageCollection"
	lastRunKey  = "garbageCollectionLastRun"
)

// Settings say when old objects are removed, and how old they must be.
type Settings struct {
	Interval       int64 `json:"interval" doc:"Seconds between two runs; 0: only when garbageCollect is called"`
	ObjectLifetime int64 `json:"objectLifetime" doc:"Seconds that transfers are kept after their end, and manifests after they were made; 0: for ever"`
}

// State is the settings and the time of the last run.
type State struct {
	Settings
	LastRunTime api.Time `json:"lastRunTime" doc:"When the last run ended, or null"`
}

// Counts says how many objects one run has removed.
type Counts struct {
	Transfers         int `json:"transfers" doc:"Sent transfers that were removed"`
	Manifests         int `json:"manifests" doc:"Manifests that were removed"`
	ReceivedTransfers int `json:"receivedTransfers" doc:"Received transfers that were removed"`
	// Abandoned are ended, not removed.
	Abandoned int `json:"abandonedTransfers" doc:"Arriving transfers that were ended, since their senders did not come back"`
}

func (n *Counts) add(more Counts) {
	n.Transfers += more.Transfers
	n.Manifests += more.Manifests
	n.ReceivedTransfers += more.ReceivedTransfers
	n.Abandoned += more.Abandoned
}

// Sent removes sent transfers that ended before a time and unused manifests
// made before it. *transfer.Engine implements it.
type Sent interface {
	Collect(ctx context.Context, before api.Time) (transfers, manifests int, err error)
}

// Received removes received transfers that ended before a time, and ends those
// whose senders were not heard of for so long. *receiver.Receiver implements it.
type Received interface {
	Collect(ctx context.Context, before api.Time) (int, error)
	Abandon(ctx context.Context, after time.Duration) (int, error)
}

// Metadata stores strings by key, across restarts. *store.DB implements it.
type Metadata interface {
	Meta(ctx context.Context, name string) (string, error)
	SetMeta(ctx context.Context, name, value string) error
}

// Sizer tells how many bytes the records have. *store.DB implements it.
type Sizer interface {
	UsedBytes(ctx context.Context) (int64, error)
}

// Options configure a Collector.
type Options struct {
	// Sent and Received remove the objects of either end. Required.
	Sent     Sent
	Received Received
	// AbandonedAfter is how long a sender may stay away before its transfer is
	// ended here; 0 is for ever.
	AbandonedAfter time.Duration
	// MaxBytes is how large the database may be; while it is larger, records of what has
	// ended are removed before the end of their lifetime, the oldest first. 0: no bound.
	MaxBytes int64
	// Database tells its size. Required with MaxBytes.
	Database Sizer
	// Metadata keeps the settings. Required.
	Metadata Metadata
	// Log records what was removed and what failed; nil discards it.
	Log *slog.Logger
}

// Collector removes old objects. Safe for concurrent use.
type Collector struct {
	o       Options
	changed chan struct{} // holds a token when the settings have changed
	running chan struct{} // holds a token during a run

	mu    sync.Mutex
	state State
}

// New returns a Collector with the saved settings, or the default ones.
func New(ctx context.Context, o Options) (*Collector, error) {
	if o.Sent == nil || o.Received == nil || o.Metadata == nil || o.MaxBytes > 0 && o.Database == nil {
		return nil, errors.New("retention: Sent, Received and Metadata are required, and Database with MaxBytes")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Collector{o: o, changed: make(chan struct{}, 1), running: make(chan struct{}, 1),
		state: State{Settings: Settings{DefaultInterval, DefaultObjectLifetime}}}
	for name, to := range map[string]any{settingsKey: &c.state.Settings, lastRunKey: &c.state.LastRunTime} {
		text, err := o.Metadata.Meta(ctx, name)
		if err == nil && text != "" {
			err = json.Unmarshal([]byte(text), to)
		}
		if err != nil {
			return nil, api.Wrap(err, api.CodeInternal, "the settings of garbage collection cannot be read")
		}
	}
	return c, nil
}

// State returns the settings and the time of the last run.
func (c *Collector) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Update changes and saves the settings that are not nil.
func (c *Collector) Update(ctx context.Context, interval, objectLifetime *int64) (State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state.Settings
	if interval != nil {
		s.Interval = *interval
	}
	if objectLifetime != nil {
		s.ObjectLifetime = *objectLifetime
	}
	if s == c.state.Settings {
		return c.state, nil
	}
	if err := c.save(ctx, settingsKey, s); err != nil {
		return c.state, err
	}
	c.state.Settings = s
	select {
	case c.changed <- struct{}{}:
	default:
	}
	return c.state, nil
}

func (c *Collector) save(ctx context.Context, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.o.Metadata.SetMeta(ctx, name, string(b))
}

// Serve removes old objects at the interval until ctx ends. If a run was due
// while the server was down, it begins with one.
func (c *Collector) Serve(ctx context.Context) error {
	failed := false
	var space <-chan time.Time
	if c.o.MaxBytes > 0 {
		ticker := time.NewTicker(spaceEvery)
		defer ticker.Stop()
		space = ticker.C
	}
	for {
		timer := time.NewTimer(c.wait(failed))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-c.changed:
			timer.Stop()
			continue
		case <-space:
			timer.Stop()
			if err := c.makeSpace(ctx); err != nil && ctx.Err() == nil {
				c.o.Log.Error("the database could not be kept below its bound; it is tried again", "error", err)
			}
			continue
		case <-timer.C:
		}
		_, err := c.Run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if failed = err != nil; failed {
			c.o.Log.Error("garbage collection failed; it is tried again at the next interval", "error", err)
		}
	}
}

// wait returns the time until the next run: never more than the interval, even
// if the clock was set back.
func (c *Collector) wait(failed bool) time.Duration {
	s := c.State()
	interval := time.Duration(s.Interval) * time.Second
	switch {
	case interval == 0:
		return time.Duration(1<<63 - 1)
	case failed:
		return interval
	case s.LastRunTime == 0:
		return 0
	}
	return min(max(time.Until(s.LastRunTime.Std())+interval, 0), interval)
}

// makeSpace removes what is old, and of what is not the oldest while the database is
// larger than Options.MaxBytes.
func (c *Collector) makeSpace(ctx context.Context) error {
	select {
	case c.running <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.running }()
	n, err := c.shrink(ctx)
	c.report(n)
	return err
}

// shrink is makeSpace. A run is held.
func (c *Collector) shrink(ctx context.Context) (n Counts, err error) {
	if c.o.MaxBytes == 0 {
		return n, nil
	}
	age := oldest
	if lifetime := c.State().ObjectLifetime; lifetime > 0 {
		age = time.Duration(lifetime) * time.Second
	}
	for {
		size, err := c.o.Database.UsedBytes(ctx)
		if err != nil || size <= c.o.MaxBytes {
			return n, err
		}
		if age <= leastAge {
			c.o.Log.Warn("the database is larger than it may be, and what it holds is under way or younger than an hour",
				"bytes", size, "atMost", c.o.MaxBytes)
			return n, nil
		}
		age = max(age*3/4, leastAge)
		some, err := c.collect(ctx, age)
		n.add(some)
		if err != nil {
			return n, err
		}
	}
}

// collect removes what is older than age.
func (c *Collector) collect(ctx context.Context, age time.Duration) (n Counts, err error) {
	before := api.TimeOf(time.Now().Add(-age))
	if n.Transfers, n.Manifests, err = c.o.Sent.Collect(ctx, before); err == nil {
		n.ReceivedTransfers, err = c.o.Received.Collect(ctx, before)
	}
	return n, err
}

// report logs what was removed.
func (c *Collector) report(n Counts) {
	if n != (Counts{}) {
		c.o.Log.Info("garbage was collected", "transfers", n.Transfers, "manifests", n.Manifests, "receivedTransfers", n.ReceivedTransfers, "abandonedTransfers", n.Abandoned)
	}
}

// Run removes old objects now, once no other run is under way. It returns what
// was removed, also when it fails.
func (c *Collector) Run(ctx context.Context) (n Counts, err error) {
	select {
	case c.running <- struct{}{}:
	case <-ctx.Done():
		return n, ctx.Err()
	}
	defer func() { <-c.running }()
	if c.o.AbandonedAfter > 0 {
		n.Abandoned, err = c.o.Received.Abandon(ctx, c.o.AbandonedAfter)
	}
	var some Counts
	if lifetime := c.State().ObjectLifetime; lifetime > 0 && err == nil {
		some, err = c.collect(ctx, time.Duration(lifetime)*time.Second)
		n.add(some)
	}
	if err == nil {
		some, err = c.shrink(ctx)
		n.add(some)
	}
	c.report(n)
	if err != nil {
		return n, err
	}
	now := api.Now()
	if err := c.save(ctx, lastRunKey, now); err != nil {
		return n, err
	}
	c.mu.Lock()
	c.state.LastRunTime = now
	c.mu.Unlock()
	return n, nil
}
