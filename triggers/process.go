package triggers

import (
	"context"
	"os"
	"time"
)

// process is a started script, the leader of a session and process group.
type process struct {
	*os.Process
	group group
	start uint64 // start time, for Run.PIDStart
	// exited is closed when state and err are set.
	exited chan struct{}
	state  *os.ProcessState
	err    error
}

// endGroup terminates the processes of the group, and kills them after grace or
// when ctx ends. It returns when the group is empty. A negative grace kills at
// once.
func (p *process) endGroup(ctx context.Context, grace time.Duration) { endGroup(ctx, p.group, grace) }

func endGroup(ctx context.Context, g group, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, max(grace, 0))
	defer cancel()
	if grace >= 0 {
		g.terminate()
	}
	// The system only signals the end of direct children, so the group is
	// polled, with growing intervals.
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

// endOrphan ends the processes of run r that another process of the server has
// left.
func (e *Engine) endOrphan(ctx context.Context, r *Run) {
	for _, g := range orphanGroups(r) {
		e.o.Log.Warn("a script of a former process of the server still runs and is ended", "event", r.Event, "run", r.RunID)
		endGroup(ctx, g, e.limits.Load().Grace)
	}
}
