package sender

import (
	"context"
	"sync"

	"jetstream/internal/transfer/pace"
)

// limits holds what keeps the rate of each destination, which its transfers
// share. The zero value is ready to use. Safe for concurrent use.
type limits struct {
	mu sync.Mutex
	by map[string]*limit
}

type limit struct {
	pace.Limiter
	turns turns
	users int
}

// take returns what the transfers to a destination share, until release.
func (l *limits) take(destinationID string) *limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = map[string]*limit{}
	}
	if l.by[destinationID] == nil {
		l.by[destinationID] = &limit{}
	}
	l.by[destinationID].users++
	return l.by[destinationID]
}

func (l *limits) release(destinationID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by[destinationID].users--; l.by[destinationID].users == 0 {
		delete(l.by, destinationID)
	}
}

// piece returns how many of most bytes are let pass at a time.
func (a *attempt) piece(most int) int {
	for _, l := range a.limiters {
		most = l.Piece(most)
	}
	return most
}

// pace returns how many of the bytes that are left may be sent, once they may and
// no transfer of a lower priority number is being sent to the destination.
func (a *attempt) pace(ctx context.Context, left int) (int, error) {
	if err := a.turn.wait(ctx); err != nil {
		return 0, err
	}
	n := a.piece(left)
	for _, l := range a.limiters {
		if err := l.Wait(ctx, n); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// followRate sets the limiter to the destination's sendRateMax, now and after
// each change, until ctx ends.
func (s *Sender) followRate(ctx context.Context, destinationID string, limiter *pace.Limiter) {
	changes, stop := s.o.Engine.Watch(destinationID)
	defer stop()
	for {
		if d, err := s.o.Engine.LoadDestination(ctx, destinationID); err == nil {
			limiter.SetRate(d.SendRateMax)
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return
		}
	}
}

// turns are the priorities of the transfers that are being sent to a
// destination. The zero value is ready to use. Safe for concurrent use.
type turns struct {
	mu      sync.Mutex
	sending map[*turn]int
	changed chan struct{} // closed by the next change; nil if nobody waits
}

// turn is a transfer's place among those to its destination.
type turn struct {
	of       *turns
	priority int
}

// begin says that the transfer is being sent, until end.
func (t *turn) begin() { t.set(func() { t.of.sending[t] = t.priority }) }

func (t *turn) end() { t.set(func() { delete(t.of.sending, t) }) }

func (t *turn) setPriority(n int) {
	if n == t.priority { // which nobody else changes
		return
	}
	t.set(func() {
		t.priority = n
		if _, sending := t.of.sending[t]; sending {
			t.of.sending[t] = n
		}
	})
}

func (t *turn) set(change func()) {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	if t.of.sending == nil {
		t.of.sending = map[*turn]int{}
	}
	change()
	if t.of.changed != nil {
		close(t.of.changed)
		t.of.changed = nil
	}
}

// wait waits until no transfer of a lower number is being sent.
func (t *turn) wait(ctx context.Context) error {
	for {
		t.of.mu.Lock()
		first := true
		for _, n := range t.of.sending {
			first = first && n >= t.priority
		}
		if first {
			t.of.mu.Unlock()
			return nil
		}
		if t.of.changed == nil {
			t.of.changed = make(chan struct{})
		}
		changed := t.of.changed
		t.of.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
