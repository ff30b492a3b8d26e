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

// prepared holds what a script needs before it can be started: the files that
// it reads and the pipes of its output. It is for one goroutine.
type prepared struct {
	spooled
	out, err *outputStream
	used     bool // a script uses the pipes
}

// prepare creates the files and pipes that the script of r needs and records them
// in p. The caller must discard p, also after an error.
func (e *Engine) prepare(ctx context.Context, r *Run, p *prepared) error {
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

// probeSize is how many bytes must fit onto the disk of the spool so that it
// does not count as full.
const probeSize = 1 << 20

// prepareOrWait is prepare, but while the disk is full for reasons other than
// this run, it waits: the run does not fail for that. When ctx ends it
// interrupts the run.
func (e *Engine) prepareOrWait(ctx context.Context, c *current) error {
	var log throttle
	waits := diskWait{e: e}
	defer waits.end()
	for {
		c.prepared = &prepared{}
		err := e.prepare(c.ctx, c.run, c.prepared)
		if err == nil || !diskFull(err) {
			return err
		}
		e.discard(c.run, c.prepared)
		c.prepared = nil
		if !diskFull(e.probeDisk(max(probeSize, len(c.run.Parameters)))) {
			return err // the disk is only full with the files of this run
		}
		waits.begin()
		if log.due() {
			e.o.Log.Error("a trigger run waits: the disk of the spool is full", "run", c.run.RunID, "event", c.run.Event,
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

// diskWait counts something in waitingForDisk from the first begin to the end.
// Not safe for concurrent use.
type diskWait struct {
	e     *Engine
	begun bool
}

func (w *diskWait) begin() {
	if !w.begun {
		w.begun = true
		w.e.waitingForDisk.Add(1)
	}
}

func (w *diskWait) end() {
	if w.begun {
		w.e.waitingForDisk.Add(-1)
	}
}

// probeDisk returns the error of writing size bytes to the spool, or nil.
func (e *Engine) probeDisk(size int) error {
	path := filepath.Join(e.spoolDir(), "probe-"+api.NewID())
	return errors.Join(os.WriteFile(path, make([]byte, size), 0o600), os.Remove(path))
}

// discard closes and removes what prepare has made; p may be nil. Pipes that a
// script uses are left open, and a stdin that a background child still reads
// stays readable.
func (e *Engine) discard(r *Run, p *prepared) {
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
