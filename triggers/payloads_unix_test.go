//go:build unix

package triggers_test

import (
	"strings"
	"testing"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// large emits an on.* event of a user with some 3,000 bytes of parameters. It
// reports whether the event was queued.
func (r *rig) large(user string) bool {
	r.t.Helper()
	e, err := commandEvent(`{"x":"`+strings.Repeat("x", 2_900)+`"}`, "", `{}`, triggers.Cause{User: user})
	before := r.Queued()
	r.emit(e, err)
	return r.Queued() > before
}

func TestQueueBytesBoundsPayloadsOfCommands(t *testing.T) {
	change := func(o *triggers.Options) { o.QueueBytes = 10_000 }
	r := newRig(t, change)
	r.script("on.send.createManifest", "#!/bin/sh\n")
	r.script("launch", "#!/bin/sh\n")
	for _, c := range []struct {
		user   string
		queued bool
	}{{"ann", true}, {"ann", false}, {"bob", true}, {"cy", true}, {"dan", false}} {
		if got := r.large(c.user); got != c.queued {
			t.Errorf("an event of %s was queued: %t, want %t", c.user, got, c.queued)
		}
	}
	r.launch("1")
	h, err := r.Health(t.Context())
	if err != nil || h.Waiting != 4 || !h.Full || h.Dropped[triggers.DropFull] != 2 || len(h.Faults()) != 1 || h.WaitingBytes < 8_700 {
		t.Errorf("health is %+v, %v", h, err)
	}
	if n := strings.Count(r.log.String(), "--trigger-queue-bytes"); n != 1 {
		t.Errorf("the log says so %d times, want once a minute:\n%s", n, r.log)
	}
	e, _ := commandEvent(`{"x":"`+strings.Repeat("x", 2_900)+`"}`, "", `{}`, triggers.Cause{User: "ann"})
	if _, err := r.EmitNow(t.Context(), e); code(err) != api.CodeUnavailable || !strings.Contains(err.Error(), "--trigger-queue-bytes 10000") {
		t.Errorf("asked for: %v", err)
	}
	// The next process of the server counts what waits from before.
	r.close()
	r = rigIn(t, r.dir, r.state, change)
	if r.large("ann") {
		t.Error("after a restart another event of ann was queued")
	}
	page, _, err := r.Runs(t.Context(), triggers.Filter{User: "ann", Limit: 1})
	if err != nil || len(page) != 1 {
		t.Fatal(page, err)
	}
	if _, err := r.Cancel(t.Context(), page[0].RunID, "ann"); err != nil {
		t.Fatal(err)
	}
	if !r.large("ann") {
		t.Error("a cancelled event still counts")
	}
	r.serve()
	for range 4 {
		r.succeeded()
	}
	r.end()
	if h, err := r.Health(t.Context()); err != nil || h.WaitingBytes != 0 {
		t.Errorf("an empty queue has %d bytes (%v)", h.WaitingBytes, err)
	}
	if _, err := r.Retry(t.Context(), page[0].RunID); err != nil {
		t.Fatal(err)
	}
	if r.large("ann") {
		t.Error("a retried event does not count")
	}
}
