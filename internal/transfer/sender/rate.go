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

// piece returns how many of most bytes are let pass at a time.
func (a *attempt) piece(most int) int {
	for _, l := range a.limiters {
		most = l.Piece(most)
	}
	return most
}

// pace returns how many of the bytes that are left may be sent, once they may.
func (a *attempt) pace(ctx context.Context, left int) (int, error) {
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
