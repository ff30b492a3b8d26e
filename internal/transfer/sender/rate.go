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
	users int
}

// take returns the limiter of a destination, until release.
func (l *limits) take(destinationID string) *pace.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = map[string]*limit{}
	}
	if l.by[destinationID] == nil {
		l.by[destinationID] = &limit{}
	}
	l.by[destinationID].users++
	return &l.by[destinationID].Limiter
}

func (l *limits) release(destinationID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by[destinationID].users--; l.by[destinationID].users == 0 {
		delete(l.by, destinationID)
	}
}

// limiters are all that hold up the attempt: that of the destination and that of
// the server.
func (a *attempt) limiters() []*pace.Limiter {
	if a.s.o.Outgoing == nil {
		return []*pace.Limiter{a.limit}
	}
	return []*pace.Limiter{a.limit, a.s.o.Outgoing}
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
