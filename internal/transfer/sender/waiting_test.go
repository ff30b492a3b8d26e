package sender

import (
	"slices"
	"testing"
	"time"
)

// TestWaitsBetweenAttempts: ever longer ones, up to ten seconds, but only three within two
// minutes after data were confirmed, so that a link which was cut is soon in use again.
func TestWaitsBetweenAttempts(t *testing.T) {
	now := time.Now()
	var w *waiting
	next := func(r result) float64 {
		w = w.after(r, now)
		wait := w.due.Sub(now)
		now = w.due
		return wait.Seconds()
	}
	want := func(what string, got []float64, want ...float64) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: waits of %v, want %v", what, got, want)
		}
	}
	failed := result{retry: true}
	want("never reached", []float64{next(failed), next(failed), next(failed), next(failed), next(failed), next(failed)}, 1, 2, 4, 8, 10, 10)
	want("after data", []float64{next(result{retry: true, progressed: true}), next(failed), next(failed), next(failed)}, 1, 2, 3, 3)
	now = now.Add(shortSince)
	want("long after data", []float64{next(failed), next(failed)}, 6, 10)
	want("as the receiver asks", []float64{next(result{retry: true, after: time.Minute})}, 60)
}
