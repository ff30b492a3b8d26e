package triggers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"jetstream/internal/api"
)

// Health is the state of the triggers for operators and monitoring.
type Health struct {
	// Waiting is the number of queued runs, OldestWaiting when the oldest of
	// them was queued, 0 if there is none.
	Waiting       int
	OldestWaiting api.Time
	// WaitingBytes is the size of the parameters of the queued on.* runs.
	WaitingBytes int64
	// GivenUp are the runs that took the server down again and again, and were
	// not retried since.
	GivenUp []*Run
	// Running lists the running scripts, the longest running first.
	Running []RunningScript
	// Paused reports whether the queue is paused.
	Paused bool
	// Full reports whether on.* events are dropped because QueueMax runs wait,
	// or were within the last minute because of that or QueueBytes.
	Full bool
	// SaveFailing reports whether the last event or run could not be saved, or
	// runs wait for a fault of the place.
	SaveFailing bool
	// PlaceFaults are the faults of the place, such as a missing directory or a
	// full disk, for which runs wait.
	PlaceFaults []string
	// Dropped counts the dropped events since the start.
	Dropped map[DropReason]int64
	// Runs counts the runs that have ended since the start, by event and
	// status.
	Runs map[string]map[Status]int64

	unsaved bool // SaveFailing without PlaceFaults
}

// RunningScript is a running script.
type RunningScript struct {
	RunID  string        `json:"runId" doc:"Id of the run"`
	Event  string        `json:"event" doc:"Name of the event"`
	Script string        `json:"script" doc:"Path of the script"`
	PID    int           `json:"pid" doc:"Process id of the script; 0 while it is being started"`
	Since  api.Time      `json:"since" doc:"When the run began"`
	HeldUp bool          `json:"heldUp" doc:"Whether it has run for a minute while others wait"`
	Ran    time.Duration `json:"-"`
}

// Health returns the present state. If it returns an error of the database,
// only OldestWaiting and GivenUp are missing.
func (e *Engine) Health(ctx context.Context) (Health, error) {
	h := Health{
		Waiting: int(max(e.waiting.Load(), 0)), Paused: e.Paused(), SaveFailing: e.saveFailing.Load(),
		Dropped: map[DropReason]int64{DropLoop: 0, DropFull: 0, DropUnsaved: 0}, Runs: map[string]map[Status]int64{},
	}
	h.Full = h.Waiting >= e.limits.Load().QueueMax
	h.WaitingBytes, _ = e.payloads.sums("")
	e.mu.Lock()
	for id, c := range e.running {
		ran := time.Since(c.since)
		h.Running = append(h.Running, RunningScript{
			RunID: id, Event: c.event, Script: e.scriptPath(c.event), PID: c.pid,
			Since: c.startTime, HeldUp: ran >= e.slowAfter && h.Waiting > 0, Ran: ran,
		})
	}
	for reason, d := range e.drops {
		h.Dropped[reason] = d.total
		h.Full = h.Full || reason == DropFull && time.Since(d.last) < time.Minute
	}
	for event, counts := range e.counts {
		h.Runs[event] = maps.Clone(counts)
	}
	for _, why := range e.placeWaits {
		h.PlaceFaults = append(h.PlaceFaults, why)
	}
	e.mu.Unlock()
	if why := e.scripts.health(); why != "" {
		h.PlaceFaults = append(h.PlaceFaults, why)
	}
	slices.Sort(h.PlaceFaults)
	h.PlaceFaults = slices.Compact(h.PlaceFaults)
	h.unsaved = h.SaveFailing
	h.SaveFailing = h.SaveFailing || len(h.PlaceFaults) > 0
	slices.SortFunc(h.Running, func(a, b RunningScript) int { return cmp.Compare(b.Ran, a.Ran) })
	var err error
	if h.OldestWaiting, err = e.o.Store.Oldest(ctx); err != nil {
		return h, err
	}
	h.GivenUp, err = e.o.Store.GivenUp(ctx)
	return h, err
}

// Faults returns a sentence for each fault. A pause is no fault.
func (h Health) Faults() []string {
	var faults []string
	for _, why := range h.PlaceFaults {
		faults = append(faults, "the trigger queue waits: "+why)
	}
	if h.unsaved {
		faults = append(faults, "trigger events cannot be saved; see the log and free space on the state directory's disk")
	}
	for _, r := range h.GivenUp {
		faults = append(faults, fmt.Sprintf("run %s of %s was given up: the server ended during %d attempts in a row; mend the script and retry the run",
			r.RunID, r.Event, r.Lost))
	}
	if h.Full {
		faults = append(faults, fmt.Sprintf("the trigger queue is full: %d runs wait, with %d bytes of API commands, and events of API commands are dropped", h.Waiting, h.WaitingBytes))
	}
	for _, r := range h.Running {
		if r.HeldUp {
			faults = append(faults, fmt.Sprintf("the script %s (run %s, process %d) has run for %s while %d others wait",
				filepath.Base(r.Script), r.RunID, r.PID, r.Ran.Round(time.Second), h.Waiting))
		}
	}
	return faults
}

// Recovered resets SaveFailing once the store can save again. Without it the
// next event does.
func (e *Engine) Recovered() { e.saveFailing.Store(false) }

// Report summarizes what an engine has done, for the last line of the log.
type Report struct {
	// Ran is the number of scripts that have ended, Waiting that of queued
	// runs, Dropped that of dropped events.
	Ran, Waiting, Dropped int
}

// Report returns the summary up to now.
func (e *Engine) Report(ctx context.Context) (Report, error) {
	waiting, err := e.Waiting(ctx)
	r := Report{Ran: int(e.ran.Load()), Waiting: waiting}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.drops {
		r.Dropped += int(d.total)
	}
	return r, err
}

// count counts a run that has ended.
func (e *Engine) count(r *Run, took time.Duration) {
	e.mu.Lock()
	counts := e.counts[r.Event]
	if counts == nil {
		counts = map[Status]int64{}
		e.counts[r.Event] = counts
	}
	counts[r.Status]++
	e.unpruned++
	e.unprunedB += int64(len(r.Parameters) + len(r.Stdout.Text) + len(r.Stderr.Text))
	e.mu.Unlock()
	if e.o.Ended != nil {
		e.o.Ended(*r, took)
	}
}
