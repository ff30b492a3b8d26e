// Package collect removes what has been over for long: transfers at both ends
// and manifests, at an interval that the operator may change, and on demand.
package collect

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"jetstream/internal/api"
)

// What Settings are before anybody changed them, in seconds.
const (
	DefaultInterval       = 3600
	DefaultObjectLifetime = 48 * 3600
)

// The names under which Facts keep the settings and the time of the last run.
const (
	settingsFact = "garbageCollection"
	lastRunFact  = "garbageCollectionLastRun"
)

// Settings are when to collect, and what.
type Settings struct {
	Interval       int64 `json:"interval" doc:"Seconds between two runs; 0: only when garbageCollect is called"`
	ObjectLifetime int64 `json:"objectLifetime" doc:"Seconds that transfers are kept after their end, and manifests after they were made; 0: for ever"`
}

// State is the settings and when they were last carried out.
type State struct {
	Settings
	LastRunTime api.Time `json:"lastRunTime" doc:"When the last run ended, or null"`
}

// Counts are what one run removed.
type Counts struct {
	Transfers         int `json:"transfers" doc:"Sent transfers that were removed"`
	Manifests         int `json:"manifests" doc:"Manifests that were removed"`
	ReceivedTransfers int `json:"receivedTransfers" doc:"Received transfers that were removed"`
}

// Sent removes old transfers and manifests of the sending end.
// *transfer.Engine is one.
type Sent interface {
	Collect(ctx context.Context, before api.Time) (transfers, manifests int, err error)
}

// Received removes old transfers of the receiving end. *receiver.Receiver is
// one.
type Received interface {
	Collect(ctx context.Context, before api.Time) (int, error)
}

// Facts keep texts by name over restarts. *store.DB is one.
type Facts interface {
	Meta(ctx context.Context, name string) (string, error)
	SetMeta(ctx context.Context, name, value string) error
}

// Options set a Collector up.
type Options struct {
	// Sent and Received are what is collected. Required.
	Sent     Sent
	Received Received
	// Facts keep the settings. Required.
	Facts Facts
	// Log gets what was removed and what failed; nil is silent.
	Log *slog.Logger
}

// Collector collects. Safe for concurrent use.
type Collector struct {
	o       Options
	changed chan struct{} // holds one token: the settings have changed
	running chan struct{} // holds a token while a run goes on

	mu    sync.Mutex
	state State
}

// New makes a Collector with the settings that were kept.
func New(ctx context.Context, o Options) (*Collector, error) {
	if o.Sent == nil || o.Received == nil || o.Facts == nil {
		return nil, errors.New("collect: Sent, Received and Facts are required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Collector{o: o, changed: make(chan struct{}, 1), running: make(chan struct{}, 1),
		state: State{Settings: Settings{DefaultInterval, DefaultObjectLifetime}}}
	for name, to := range map[string]any{settingsFact: &c.state.Settings, lastRunFact: &c.state.LastRunTime} {
		text, err := o.Facts.Meta(ctx, name)
		if err == nil && text != "" {
			err = json.Unmarshal([]byte(text), to)
		}
		if err != nil {
			return nil, api.Wrap(err, api.CodeInternal, "the settings of garbage collection cannot be read")
		}
	}
	return c, nil
}

// State returns the present settings.
func (c *Collector) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Update changes the settings that are not nil, for now and after restarts.
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
	if err := c.keep(ctx, settingsFact, s); err != nil {
		return c.state, err
	}
	c.state.Settings = s
	select {
	case c.changed <- struct{}{}:
	default:
	}
	return c.state, nil
}

func (c *Collector) keep(ctx context.Context, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.o.Facts.SetMeta(ctx, name, string(b))
}

// Serve collects at the interval until ctx ends. A run that was due while the
// server was down is made up for at once.
func (c *Collector) Serve(ctx context.Context) error {
	failed := false
	for {
		timer := time.NewTimer(c.wait(failed))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-c.changed:
			timer.Stop()
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

// wait is how long until the next run. A clock that was set back makes it no
// longer than the interval.
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

// Run collects now, after a run that goes on, and tells what was removed, also
// when it fails half-way.
func (c *Collector) Run(ctx context.Context) (n Counts, err error) {
	select {
	case c.running <- struct{}{}:
	case <-ctx.Done():
		return n, ctx.Err()
	}
	defer func() { <-c.running }()
	if lifetime := c.State().ObjectLifetime; lifetime > 0 {
		before := api.TimeOf(time.Now().Add(-time.Duration(lifetime) * time.Second))
		if n.Transfers, n.Manifests, err = c.o.Sent.Collect(ctx, before); err == nil {
			n.ReceivedTransfers, err = c.o.Received.Collect(ctx, before)
		}
	}
	if n != (Counts{}) {
		c.o.Log.Info("garbage was collected", "transfers", n.Transfers, "manifests", n.Manifests, "receivedTransfers", n.ReceivedTransfers)
	}
	if err != nil {
		return n, err
	}
	now := api.Now()
	if err := c.keep(ctx, lastRunFact, now); err != nil {
		return n, err
	}
	c.mu.Lock()
	c.state.LastRunTime = now
	c.mu.Unlock()
	return n, nil
}
