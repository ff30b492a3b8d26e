package triggers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
	err := e.spool(ctx, r, &p.spooled)
	if errors.Is(err, errNoLists) || ctx.Err() != nil {
		return err
	}
	if err != nil {
		return &placeError{err: fmt.Errorf("what the script reads cannot be spooled to %s (%w); see its rights and free space there", e.spoolDir(), err)}
	}
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

// prepareRun is prepare for a run that is to start now. A full disk is a
// *placeError only if it is not full with the files of this run alone.
func (e *Engine) prepareRun(c *current) error {
	c.prepared = &prepared{}
	err := e.prepare(c.ctx, c.run, c.prepared)
	if err == nil {
		return nil
	}
	e.discard(c.run, c.prepared)
	c.prepared = nil
	if diskFull(err) && !diskFull(e.probeDisk(max(probeSize, len(c.run.Parameters)))) {
		return errors.New(err.Error()) // not one of the place
	}
	return err
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
