package triggers

import (
	"context"
	"os"
	"time"
)

// process is a started script: the leader of a process group of its own.
type process struct {
	*os.Process
	group group
	start uint64 // when it began, for Run.PIDStart
	// exited is closed when state and err are set.
	exited chan struct{}
	state  *os.ProcessState
	err    error
}

// endGroup asks every process of the group to end, and after grace kills
// them; it returns when the group is empty. When ctx ends, grace is over; a
// negative grace kills at once.
func (p *process) endGroup(ctx context.Context, grace time.Duration) { endGroup(ctx, p.group, grace) }

func endGroup(ctx context.Context, g group, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, max(grace, 0))
	defer cancel()
	if grace >= 0 {
		g.terminate()
	}
	// The system announces the end of one's own children only, so the group is
	// looked at, ever more seldom.
	for wait := time.Millisecond; g.alive(); wait = min(2*wait, 50*time.Millisecond) {
		if !pause(ctx, wait) {
			break
		}
	}
	for wait := time.Millisecond; g.alive(); wait = min(2*wait, 500*time.Millisecond) {
		g.kill()
		pause(context.Background(), wait)
	}
}

// endOrphan ends what a former process of the server left running with r.
func (e *Engine) endOrphan(ctx context.Context, r *Run) {
	for _, g := range orphanGroups(r) {
		e.o.Log.Warn("a script of a former process of the server still runs and is ended", "event", r.Event, "run", r.RunID)
		endGroup(ctx, g, e.o.Grace)
	}
}
