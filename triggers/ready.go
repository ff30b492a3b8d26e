package triggers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"jetstream/internal/api"
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

// roomProbe is how many bytes must fit onto the disk of the spool before it
// counts as having room.
const roomProbe = 1 << 20

// prepareInRoom is prepare, but where the disk is full also without this run it
// waits until there is room again: no event is used up for something that is no
// fault of its own. The end of ctx ends the wait, and the run, for now.
func (e *Engine) prepareInRoom(ctx context.Context, c *current) error {
	var log throttle
	waits := roomWait{e: e}
	defer waits.end()
	for {
		c.ready = &ready{}
		err := e.prepare(c.ctx, c.run, c.ready)
		if err == nil || !diskFull(err) {
			return err
		}
		e.giveUp(c.run, c.ready)
		c.ready = nil
		if !diskFull(e.tryRoom(max(roomProbe, len(c.run.Parameters)))) {
			return err // what this run alone needs is too much
		}
		waits.begin()
		if log.due() {
			e.o.Log.Error("a trigger run waits for room: the disk of the spool is full", "run", c.run.RunID, "event", c.run.Event,
				"spool", e.spoolDir(), "error", err)
		}
		select {
		case <-ctx.Done():
			c.end(errShutdown)
		case <-c.ctx.Done():
		case <-time.After(e.retryAfter):
			continue
		}
		return err
	}
}

// roomWait tells health of something that waits for room on the disk, from the
// first begin to the end. Not safe for concurrent use.
type roomWait struct {
	e     *Engine
	begun bool
}

func (w *roomWait) begin() {
	if !w.begun {
		w.begun = true
		w.e.roomless.Add(1)
	}
}

func (w *roomWait) end() {
	if w.begun {
		w.e.roomless.Add(-1)
	}
}

// tryRoom says why so many bytes do not fit onto the disk of the spool.
func (e *Engine) tryRoom(size int) error {
	path := filepath.Join(e.spoolDir(), "room-"+api.NewID())
	return errors.Join(os.WriteFile(path, make([]byte, size), 0o600), os.Remove(path))
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
