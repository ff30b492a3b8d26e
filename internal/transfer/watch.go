package transfer

import (
	"context"
	"sync"
	"time"
)

// watchers are the channels of Engine.Watch by the id of the object.
type watchers struct {
	mu sync.Mutex
	by map[string]map[chan struct{}]struct{}
}

func (w *watchers) add(id string) (changes <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = map[string]map[chan struct{}]struct{}{}
	}
	if w.by[id] == nil {
		w.by[id] = map[chan struct{}]struct{}{}
	}
	w.by[id][c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.by[id], c)
		if len(w.by[id]) == 0 {
			delete(w.by, id)
		}
	}
}

func (w *watchers) notify(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.by[id] {
		signal(c)
	}
}

// await calls look now and after each change of the object until it is done or
// timeout is over, and returns what look returned last. An object that is
// deleted meanwhile is notFound.
func await[T any](ctx context.Context, e *Engine, id string, timeout time.Duration,
	look func(context.Context) (v T, done bool, err error)) (T, error) {
	changes, stop := e.Watch(id)
	defer stop()
	over := time.NewTimer(timeout)
	defer over.Stop()
	for {
		v, done, err := look(ctx)
		if err != nil || done {
			return v, err
		}
		select {
		case <-changes:
		case <-over.C:
			v, _, err := look(ctx)
			return v, err
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}
