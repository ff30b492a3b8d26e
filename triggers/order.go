package triggers

import (
	"context"

	"jetstream/internal/api"
)

// Order is which scripts may run concurrently.
type Order string

// The orders.
const (
	// OrderGlobal runs one script at a time, in the order of the events.
	OrderGlobal Order = "global"
	// OrderKey runs the scripts of one transfer, destination or user one at a
	// time and in order, but concurrently with those of others.
	OrderKey Order = "key"
	// OrderNone starts the scripts in order and runs them concurrently.
	OrderNone Order = "none"
)

// lanes finds the next run for OrderKey: the first one in the queue whose key
// is not busy. It is for one goroutine.
//
// It reads the queue only once: front is the position up to which it was read,
// and passed holds the keys of the runs before it that were skipped.
type lanes struct {
	store  Store
	front  Place
	busy   map[string]bool
	passed map[string]bool
}

func newLanes(s Store) *lanes {
	return &lanes{store: s, front: Front(), busy: map[string]bool{}, passed: map[string]bool{}}
}

// next returns the next run, or nil. It returns the same run again until the
// run is started and its key is busy.
func (l *lanes) next(ctx context.Context) (*Run, error) {
	var first *Run
	for key := range l.passed {
		if l.busy[key] {
			continue
		}
		r, err := l.store.NextOf(ctx, key)
		switch {
		case err != nil:
			return nil, err
		case r == nil || l.front.Before(r.Place()):
			delete(l.passed, key) // it is behind front, if there is one
		case first == nil || r.Place().Before(first.Place()):
			first = r
		}
	}
	if first != nil {
		return first, nil
	}
	busy := make([]string, 0, len(l.busy))
	for key := range l.busy {
		busy = append(busy, key)
	}
	r, seen, err := l.store.NextBehind(ctx, l.front, busy)
	if err != nil {
		return nil, err
	}
	l.front = seen
	for _, key := range busy {
		l.passed[key] = true
	}
	if r != nil {
		l.passed[r.Key] = true
	}
	return r, nil
}

// checkOrder checks the options Order and Concurrency.
func checkOrder(o Order, concurrency int) error {
	switch {
	case o != OrderGlobal && o != OrderKey && o != OrderNone:
		return api.Errorf(api.CodeInvalid, "%q is no order of triggers; it is global, key or none", o)
	case concurrency < 1 || concurrency > MaxConcurrency:
		return api.Errorf(api.CodeInvalid, "%d scripts cannot run side by side; 1 to %d can", concurrency, MaxConcurrency)
	}
	return nil
}
