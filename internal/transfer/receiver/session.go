package receiver

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// buffers is how many frames of one connection are in memory: one being read,
// one being written, two between them.
const buffers = 4

// session is one connection's work on one transfer. It belongs to the
// goroutine that serves the connection.
type session struct {
	r       *Receiver
	conn    *wire.Conn
	in      *incoming
	row     *transfer.RecvTransfer
	helpers *sync.WaitGroup

	frames chan frame
	free   chan []byte

	box     *account.Sandbox
	place   *placer
	staging *os.Root
	intake  intake
}

// frame is what the reader goroutine hands over.
type frame struct {
	wire.Header
	payload []byte
	err     error
}

// receive carries the transfer on until it has ended here. An *ended error
// ends it, any other leaves it as it is for the next connection.
func (s *session) receive(ctx context.Context, o wire.Open) (transfer.RecvTransfer, error) {
	none := transfer.RecvTransfer{}
	if err := s.r.entitled(ctx, s.row); err != nil {
		return none, err
	}
	if err := s.prepare(ctx, o); err != nil {
		return none, err
	}
	box, err := s.r.openBox(ctx, s.row)
	if err != nil {
		return none, err
	}
	defer box.Close()
	s.box, s.place = box, newPlacer(box, s.row)
	s.frames, s.free = make(chan frame, buffers-2), make(chan []byte, buffers)
	s.helpers.Go(func() { s.read(ctx) })
	s.helpers.Go(func() { _ = s.conn.KeepAlive(ctx) })
	if !s.row.Finishing {
		if err := s.collect(ctx, o); err != nil {
			return none, err
		}
	}
	return s.finish(ctx)
}

// openBox opens the receiving user's sandbox, which must be the one that the
// transfer began in.
func (r *Receiver) openBox(ctx context.Context, row *transfer.RecvTransfer) (*account.Sandbox, error) {
	box, err := r.o.Accounts.Sandbox(ctx, row.Username, account.Write)
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code != api.CodeInternal {
		return nil, failf(e.Err, "%s", e.Message)
	}
	if err != nil {
		return nil, err
	}
	if row.Root != "" && row.Root != box.Dir {
		return nil, errors.Join(
			failf(nil, "the sandbox of user %s was changed while the transfer was under way; send it again", row.Username),
			box.Close())
	}
	return box, nil
}

// prepare checks what the sender asks for and, the first time, saves it.
func (s *session) prepare(ctx context.Context, o wire.Open) error {
	target := path.Clean("/" + string(o.DestinationPath))
	switch {
	case o.TotalFiles < 0 || o.TotalBytes < 0,
		o.Conflict != "overwrite" && o.Conflict != "skip" && o.Conflict != "rename" && o.Conflict != "fail",
		o.OnError != "stop" && o.OnError != "continue":
		return &wire.ProtocolError{Reason: "the transfer's settings are malformed"}
	}
	if target != "/" {
		if wrong := checkName(target, onWindows); wrong != "" || string(o.DestinationPath) != target {
			return failf(nil, "destinationPath %s %s", api.Quote(string(o.DestinationPath)), cmp.Or(wrong, "is not in its plain form"))
		}
	}
	if o.TotalFiles > s.r.o.MaxEntries {
		return failf(nil, "the transfer has %d files, more than this server takes (%d)", o.TotalFiles, s.r.o.MaxEntries)
	}
	if s.row.Conflict != "" {
		if s.row.Conflict != o.Conflict || s.row.OnError != o.OnError || s.row.DestinationPath != target ||
			s.row.TotalFiles != o.TotalFiles || s.row.TotalSize != o.TotalBytes {
			return &wire.ProtocolError{Reason: "the transfer's settings are not those that it began with"}
		}
		return s.r.o.Store.SaveRecvProgress(ctx, s.row)
	}
	box, err := s.r.openBox(ctx, s.row)
	if err != nil {
		return err
	}
	defer box.Close()
	s.row.DestinationPath = target
	dir, err := newPlacer(box, s.row).dir(target)
	if err != nil {
		return err
	}
	return s.r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		row, err := s.in.stillOpen(tx)
		if err != nil {
			return err
		}
		row.DestinationPath, row.Conflict, row.OnError = target, o.Conflict, o.OnError
		row.TotalFiles, row.TotalSize = o.TotalFiles, o.TotalBytes
		row.SourceIP, row.SourcePort = s.row.SourceIP, s.row.SourcePort
		row.Root, row.Staging = box.Dir, path.Join(dir, stagingName(s.in.key, s.in.id))
		s.row = row
		return tx.SaveRecvTransfer(row)
	})
}

// openStaging opens the directory of part files, or makes it anew when nothing
// that counts is in it.
func (s *session) openStaging(recorded int64) (err error) {
	if recorded == 0 && s.in.partial.offset == 0 {
		s.staging, err = makeStaging(s.box.Root, s.row.Staging)
	} else {
		s.staging, err = openStaging(s.box.Root, s.row.Staging)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return failf(err, "the part files of the transfer in %s were removed; send it again", s.row.DestinationPath)
	}
	return diskError(err, "the directory for part files in "+api.Quote(s.row.DestinationPath))
}

// diskError makes an error of the file system into the end of the transfer,
// unless it passes by itself. what names the thing as the user knows it.
func diskError(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case isExhausted(err):
		return err
	case isFull(err):
		return failf(err, "the receiver's disk is full: %s could not be written; make room and send again", what)
	case errors.Is(err, fs.ErrPermission):
		return failf(err, "the receiver may not write %s: permission denied", what)
	}
	return failf(err, "the receiver could not write %s: %s", what, cmp.Or(api.SystemReason(err), err.Error()))
}

// read hands frames over until the connection or ctx ends. It checks data, so
// that this and the writing of the frame before go on at the same time.
func (s *session) read(ctx context.Context) {
	for range buffers {
		s.free <- nil
	}
	for {
		var buf []byte
		select {
		case buf = <-s.free:
		case <-ctx.Done():
			return
		}
		h, payload, err := s.conn.Read(buf)
		if err == nil && h.Type == wire.TypeData {
			err = h.Check(payload)
		}
		select {
		case s.frames <- frame{h, payload, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// recycle gives a frame's buffer back to the reader.
func (s *session) recycle(f frame) {
	s.free <- f.payload[:0] // there are never more than it holds
}

// finish gives the files their final names. A connection that breaks meanwhile
// does not matter; the sender's cancel does.
func (s *session) finish(ctx context.Context) (transfer.RecvTransfer, error) {
	_ = s.conn.Send(wire.TypeProgress, wire.Progress{Files: s.in.files.Load(), Bytes: s.in.bytes.Load(), Finishing: true})
	ctx, cancel := context.WithCancelCause(ctx)
	var listener sync.WaitGroup
	listener.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case f := <-s.frames:
				if f.err != nil {
					return
				}
				var c wire.Cancel
				if f.Type == wire.TypeCancel && wire.Decode(f.payload, &c) == nil {
					cancel(cancelled(c))
					return
				}
				s.recycle(f)
			}
		}
	})
	row, err := s.r.finish(ctx, s.in)
	cancel(nil)
	listener.Wait()
	if e, ok := errors.AsType[*ended](context.Cause(ctx)); ok && err != nil {
		return row, e
	}
	return row, err
}
