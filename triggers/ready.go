package triggers

import (
	"context"
	"fmt"
)

// ready is what a script needs before it can be started: the files that it
// reads and the pipes of its output. It belongs to one goroutine.
type ready struct {
	spooled
	out, err *outputStream
	used     bool // the pipes are the script's
}

// prepare makes what r's script needs in p; giveUp must be called in any case.
func (e *Engine) prepare(ctx context.Context, r *Run, p *ready) error {
	if err := e.spool(ctx, r, &p.spooled); err != nil {
		return fmt.Errorf("what the script reads could not be spooled to %s: %w; free space there, then run it again", e.spoolDir(), err)
	}
	var err error
	if p.out, err = e.openStream(r, "stdout"); err == nil {
		p.err, err = e.openStream(r, "stderr")
	}
	if err != nil {
		return fmt.Errorf("no pipe for the output: %w", err)
	}
	return nil
}

// giveUp ends what was made for r; p may be nil. Pipes that a script uses, and
// stdin that a background child of it still reads, go on without the engine.
func (e *Engine) giveUp(r *Run, p *ready) {
	if p == nil {
		return
	}
	if !p.used {
		p.out.discard()
		p.err.discard()
	}
	if err := p.remove(); err != nil {
		e.o.Log.Error("the spooled files of a trigger run could not be removed", "run", r.RunID, "error", err)
	}
}
