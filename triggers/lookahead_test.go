//go:build unix

package triggers_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"jetstream/triggers"
)

// fetchedAhead waits until the next run is fetched and prepared, which is when
// its payload exists.
func (r *rig) fetchedAhead() triggers.Run {
	r.t.Helper()
	runs, _, err := r.Runs(r.t.Context(), triggers.Filter{Status: triggers.StatusQueued, Limit: 10})
	if err != nil || len(runs) == 0 {
		r.t.Fatalf("%d runs wait: %v", len(runs), err)
	}
	next := runs[len(runs)-1]
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(time.Minute); ; <-again.C {
		if _, err = os.Stat(filepath.Join(r.state, "spool", next.RunID+".json")); err == nil {
			return next
		}
		if !os.IsNotExist(err) || time.Now().After(end) {
			r.t.Fatalf("nothing was prepared for the next run: %v", err)
		}
	}
}

// An upcoming run that is cancelled is not started, its prepared files are
// removed, and the run behind it is started.
func TestCancelledUpcomingRunIsNotStarted(t *testing.T) {
	r := newRig(t, nil)
	gate := r.fifo("gate")
	r.script("launch", "#!/bin/sh\n[ $1 != 1 ] || cat gate\necho $1 >> log.txt\n")
	for _, port := range []string{"1", "2", "3"} {
		r.launch(port)
	}
	r.serve()
	r.started()
	second := r.fetchedAhead()
	if _, err := r.Cancel(t.Context(), second.RunID, "alice"); err != nil {
		t.Fatal(err)
	}
	open(t, gate)
	r.succeeded()
	r.succeeded()
	if got := r.read("log.txt"); got != "1\n3\n" {
		t.Errorf("log.txt: %q", got)
	}
	r.spoolIsEmpty()
}

// An upcoming run is not started while the queue is paused.
func TestPauseHoldsBackTheUpcomingRun(t *testing.T) {
	r := newRig(t, nil)
	gate := r.fifo("gate")
	r.script("launch", "#!/bin/sh\n[ $1 != 1 ] || cat gate\necho $1 >> log.txt\n")
	r.launch("1")
	r.launch("2")
	r.serve()
	r.started()
	r.fetchedAhead()
	if err := r.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	open(t, gate)
	r.succeeded()
	if n, err := r.Waiting(t.Context()); n != 1 || err != nil {
		t.Errorf("%d runs wait, want 1 (%v)", n, err)
	}
	if err := r.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.succeeded()
	if got := r.read("log.txt"); got != "1\n2\n" {
		t.Errorf("log.txt: %q", got)
	}
	r.spoolIsEmpty()
}
