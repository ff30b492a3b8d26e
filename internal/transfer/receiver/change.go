package receiver

import (
	"context"
	"errors"
	"fmt"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/wire"
)

// changed handles the message that a file has changed at the sender: what has arrived
// of it is discarded, unless that is all of it.
func (s *session) changed(ctx context.Context, c wire.FileChanged) error {
	if c.Size < 0 || c.Size > maxTotalBytes || c.Version < 1 || c.Version > wire.MaxChanges {
		return &wire.ProtocolError{Reason: fmt.Sprintf("the change of entry %d is malformed: %d bytes, version %d", c.Index, c.Size, c.Version)}
	}
	c.Mode = s.r.o.Modes.of(false, c.Mode)
	e, idle, err := s.window.change(c)
	if err != nil {
		return err
	}
	expected := wire.FileExpected{Index: c.Index, Version: c.Version - 1}
	if e != nil {
		expected.Version = c.Version
		select {
		case <-idle:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := s.intake.grow(c.Size - e.Size); err != nil {
			return err
		}
		if err := s.commits.restart(ctx, e, c); err != nil {
			return err
		}
		s.in.grown.Store(s.intake.grown)
	}
	if err := s.conn.Send(wire.TypeFileExpected, expected); err != nil {
		return err
	}
	if e == nil || e.Size > 0 {
		return nil
	}
	if err := s.empty(e); err != nil {
		return err
	}
	s.window.settled(e)
	return nil
}

// grow counts by how many bytes a file is larger than in the sender's manifest.
func (in *intake) grow(bytes int64) error {
	if bytes > maxTotalBytes-in.settings.TotalBytes-in.grown {
		return &wire.ProtocolError{Reason: fmt.Sprintf("the files have grown to more bytes than this server takes (%d)", int64(maxTotalBytes))}
	}
	in.grown += bytes
	return nil
}

// empty completes an entry without data.
func (s *session) empty(e *arrival) error {
	if err := s.openPart(e); err != nil {
		return err
	}
	e.Digest = s.named(digest.Bytes(s.r.o.Digest, nil))
	return s.complete(e)
}

// change says that a file has changed at the sender. If the receiver does not have all
// of it yet it returns the entry, of which no data are taken until restart; those that
// are being written are when idle is closed.
func (w *window) change(c wire.FileChanged) (e *arrival, idle <-chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Index >= 0 && c.Index < w.first {
		return nil, nil, nil
	}
	wrong := &wire.ProtocolError{Reason: fmt.Sprintf("entry %d is not one that can change to version %d", c.Index, c.Version)}
	if c.Index < 0 || c.Index >= w.first+int64(len(w.pending)) {
		return nil, nil, wrong
	}
	e = w.pending[c.Index-w.first]
	switch {
	case e.Dir || e.Skipped || e.gone || c.Version != e.version+1:
		return nil, nil, wrong
	case e.done || e.have == e.Size:
		return nil, nil, nil
	}
	e.version, e.idle = c.Version, make(chan struct{})
	w.changes++
	if e.writers == 0 {
		close(e.idle)
	}
	return e, e.idle, nil
}

// restart makes e the entry of the new version, of which nothing has arrived.
func (w *window) restart(e *arrival, c wire.FileChanged) (discarded int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	discarded = e.have
	w.apart -= len(e.claimed)
	e.Grown += c.Size - e.Size
	e.Size, e.Mode, e.ModTime = c.Size, c.Mode&0o777, c.ModTime
	e.Digest = ""
	e.claimed, e.got, e.have, e.mixed, e.resumed, e.idle = nil, nil, 0, false, 0, nil
	return discarded
}

// restart begins an entry anew, of which nothing is being written: first the record
// of what is on disk of it is removed, durably, then the part file.
func (c *committer) restart(ctx context.Context, e *arrival, changed wire.FileChanged) error {
	c.marking.Lock()
	defer c.marking.Unlock()
	if err := c.forget(ctx, e.Index); err != nil {
		return err
	}
	s := c.s
	s.in.saved = savedHashes{}
	s.in.bytes.Add(-s.window.restart(e, changed))
	e.sum = nil
	if e.file == nil {
		return nil
	}
	err := errors.Join(e.file.Close(), s.staging.Remove(partName(e.Index)))
	e.file = nil
	return s.writeError(e, err)
}

// forget removes the checkpoint of an entry, if that is the last one. It is on disk
// when it returns. marking is held.
func (c *committer) forget(ctx context.Context, index int64) error {
	if c.marked.Offset == 0 || c.marked.Index != index {
		return nil
	}
	s := c.s
	if err := s.r.o.Store.SaveRecvCheckpoint(ctx, s.in.key, s.in.id, transfer.Checkpoint{Index: index}); err != nil {
		return err
	}
	err := s.r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		row, err := s.in.stillOpen(tx)
		if err != nil {
			return err
		}
		return tx.SaveRecvTransfer(row)
	})
	if err == nil {
		c.marked = transfer.Checkpoint{}
	}
	return err
}

// forgetPartial discards what was received of the next entry before this session,
// since the file is another one now.
func (s *session) forgetPartial(ctx context.Context) error {
	s.commits.marking.Lock()
	defer s.commits.marking.Unlock()
	if err := s.commits.forget(ctx, s.in.partial.Index); err != nil {
		return err
	}
	s.in.bytes.Add(-s.in.partial.Offset)
	s.in.partial, s.in.saved = partial{}, savedHashes{}
	return nil
}

// progress returns what has been received. A chunk is counted after it was written,
// which may be just after it was discarded.
func (s *session) progress() wire.Progress {
	return wire.Progress{Files: s.in.files.Load(), Bytes: max(0, s.in.bytes.Load()), Grown: s.in.grown.Load()}
}
