//go:build unix

package triggers_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jetstream/triggers"
)

// fullStore is a store that fails to save runs while fails is above zero.
type fullStore struct {
	triggers.Store
	fails  *atomic.Int64
	failed chan struct{}
}

func (f fullStore) full() error {
	if f.fails.Add(-1) >= 0 {
		f.failed <- struct{}{}
		return errors.New("disk is full")
	}
	return nil
}

func (f fullStore) Start(ctx context.Context, r *triggers.Run) (bool, error) {
	if err := f.full(); err != nil {
		return false, err
	}
	return f.Store.Start(ctx, r)
}

func (f fullStore) Mark(ctx context.Context, r *triggers.Run) error {
	if err := f.full(); err != nil {
		return err
	}
	return f.Store.Mark(ctx, r)
}

func TestRunThatCannotBeRecordedWaits(t *testing.T) {
	var fails atomic.Int64
	failed := make(chan struct{}, 1000)
	r := newRig(t, func(o *triggers.Options) {
		w := o.Store.(*watched)
		w.Store = fullStore{w.Store, &fails, failed}
	})
	r.SetTimes(time.Minute, time.Second, time.Millisecond)
	r.script("launch", "#!/bin/sh\necho $1 >> ran.txt\n")
	fails.Store(3) // of "running", before the script may start
	r.serve()
	r.launch("1")
	r.succeeded()
	if n := strings.Count(r.log.String(), "disk is full"); n != 1 {
		t.Errorf("the log says so %d times, want once a minute:\n%s", n, r.log)
	}
	for len(failed) > 0 {
		<-failed
	}
	fails.Store(1 << 40)
	r.launch("2")
	<-failed
	r.end() // a stop is not held up, and the run is still waiting
	if n, err := r.Waiting(t.Context()); n != 1 || err != nil {
		t.Errorf("%d runs wait (%v), want 1", n, err)
	}
	if got := r.read("ran.txt"); got != "1\n" {
		t.Errorf("ran %q; nothing may start that is not on record", got)
	}
}
