package receiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// session receives one transfer. It is for the goroutine that serves the
// connection which has opened the transfer; data is for those of its lanes.
type session struct {
	r        *Receiver
	conn     *wire.Conn
	in       *incoming
	row      *transfer.RecvTransfer
	helpers  *sync.WaitGroup
	accepted time.Time // when the connection was

	frames chan frame

	box        *account.Sandbox
	place      *placer
	staging    *os.Root
	stagingDir *os.File // the directory itself, opened before anything is written
	syncsFS    bool     // its file system is one that syncFS makes durable
	intake     intake
	spent      atomic.Int64 // bytes since the free space was measured

	ctx     context.Context //nolint:containedctx // ends when the session does, which its lanes must see
	outer   context.Context //nolint:containedctx // ends when the server does
	fail    context.CancelCauseFunc
	window  *window
	commits *committer
	lanes   *lanes
}

// maxTotalBytes is how many bytes a transfer may have.
const maxTotalBytes = 1 << 62

// frame is the result of one read.
type frame struct {
	wire.Header
	payload []byte
	err     error
}

// receive receives the transfer until it has ended. An *endError ends the
// transfer; after any other error the next connection continues it.
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
	defer s.place.close()
	s.frames = make(chan frame, 1)
	ctx, s.fail = context.WithCancelCause(ctx)
	s.ctx = ctx
	defer s.r.closeSession(s)
	defer s.fail(nil) // ends the lanes
	s.helpers.Go(func() { s.read(ctx) })
	verifying, stop := s.outlive(ctx)
	s.row, err = s.r.verify(verifying, s.in, s.row, box)
	stop()
	if err != nil {
		return none, cause(ctx, err)
	}
	if !s.row.Finishing {
		if err := s.checkSpace(o); err != nil {
			return none, err
		}
		if err := s.receiveData(ctx, o); err != nil {
			return none, err
		}
	}
	return s.finish(ctx)
}

// openBox opens the receiving user's sandbox, which must be the one that the
// transfer has begun in.
func (r *Receiver) openBox(ctx context.Context, row *transfer.RecvTransfer) (*account.Sandbox, error) {
	box, err := r.o.Accounts.Confined(ctx, row.Username, cmp.Or(row.Confined, "/"), account.Write)
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

// prepare checks the parameters of the sender. At the first connection it saves
// them; later they must be the same.
func (s *session) prepare(ctx context.Context, o wire.Open) error {
	target, err := s.checkSettings(o)
	if err != nil {
		return err
	}
	mirror, err := mirrorOf(o, s.accepted)
	if err == nil && mirror != nil {
		err = s.r.mayMirror(ctx, s.row.Username)
	}
	if err != nil {
		return err
	}
	if s.row.Conflict != "" {
		if s.row.Conflict != o.Conflict || s.row.OnError != o.OnError || s.row.DestinationPath != target ||
			s.row.TotalFiles != o.TotalFiles || !sameMirror(s.row.Mirror, o.Mirror) || s.row.TotalSize-s.row.Grown != o.TotalBytes {
			return &wire.ProtocolError{Reason: "the transfer's settings are not those that it began with"}
		}
		return s.r.o.Store.SaveRecvProgress(ctx, s.row)
	}
	return s.saveSettings(ctx, o, target, mirror)
}

// checkSettings checks the parameters of the sender by themselves. It returns the
// directory that the transfer is placed in.
func (s *session) checkSettings(o wire.Open) (target string, err error) {
	target = path.Clean("/" + string(o.DestinationPath))
	switch {
	case o.TotalFiles < 0 || o.DataBytes < 0 || o.DataBytes > o.TotalBytes,
		!transfer.Replaces(o.Conflict) && !transfer.MaySkip(o.Conflict) && o.Conflict != transfer.ConflictRename && o.Conflict != transfer.ConflictFail,
		o.Checksum && o.Conflict != transfer.ConflictChanged,
		o.OnError != "stop" && o.OnError != "continue":
		return "", &wire.ProtocolError{Reason: "the transfer's settings are malformed"}
	}
	if target != "/" {
		if wrong := checkName(target, onWindows); wrong != "" || string(o.DestinationPath) != target {
			return "", failf(nil, "destinationPath %s %s", api.Quote(string(o.DestinationPath)), cmp.Or(wrong, "is not in its plain form"))
		}
	}
	if o.TotalBytes > maxTotalBytes {
		return "", &wire.ProtocolError{Reason: fmt.Sprintf("the transfer has %d bytes, more than this server takes (%d)", o.TotalBytes, int64(maxTotalBytes))}
	}
	if o.TotalFiles > s.r.o.MaxEntries {
		return "", failf(nil, "the transfer has %d files, more than this server takes (%d)", o.TotalFiles, s.r.o.MaxEntries)
	}
	return target, nil
}

// saveSettings saves the parameters of the first connection.
func (s *session) saveSettings(ctx context.Context, o wire.Open, target string, mirror *transfer.Mirror) error {
	box, err := s.r.openBox(ctx, s.row)
	if err != nil {
		return err
	}
	defer box.Close()
	s.row.DestinationPath = target
	dir, err := newPlacer(box, s.row).nearest(target)
	if err != nil {
		return err
	}
	return s.r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		row, err := s.in.stillOpen(tx)
		if err != nil {
			return err
		}
		row.DestinationPath, row.Conflict, row.OnError = target, o.Conflict, o.OnError
		row.DestinationPathBase64 = api.Base64Unless(target)
		row.TotalFiles, row.TotalSize = o.TotalFiles, o.TotalBytes
		row.SourceIP, row.SourcePort = s.row.SourceIP, s.row.SourcePort
		row.Mirror = mirror
		row.Root, row.Staging = box.Dir, path.Join(dir, stagingName(s.in.key, s.in.id))
		s.row = row
		return tx.SaveRecvTransfer(row)
	})
}

// openStaging opens the directory of part files, or makes a new one if no data
// have been received.
func (s *session) openStaging(recorded int64) (err error) {
	if recorded == 0 && s.in.partial.Offset == 0 {
		s.staging, err = makeStaging(s.place.root, s.row.Staging)
	} else {
		s.staging, err = openStaging(s.place.root, s.row.Staging)
	}
	if err == nil {
		if s.stagingDir, err = s.staging.Open("."); err == nil {
			s.syncsFS = canSyncFS(s.stagingDir)
			return nil
		}
		_ = s.staging.Close()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failf(err, "the part files of the transfer in %s were removed; send it again", s.row.DestinationPath)
	}
	return diskError(err, "the directory for part files in "+api.Quote(s.row.DestinationPath))
}

// diskError turns an error of the file system into an *endError, unless it is
// temporary. what names the file in the message.
func diskError(err error, what string) error {
	_, ended := errors.AsType[*endError](err)
	switch {
	case err == nil:
		return nil
	case ended, isExhausted(err):
		return err
	case isFull(err):
		return failf(err, "the receiver's disk is full: %s could not be written; free some space and send again", what)
	case errors.Is(err, fs.ErrPermission):
		return failf(err, "the receiver may not write %s: permission denied", what)
	}
	return failf(err, "the receiver could not write %s: %s", what, cmp.Or(api.SystemReason(err), err.Error()))
}

// read reads control messages into s.frames until the connection or ctx ends.
func (s *session) read(ctx context.Context) {
	for {
		h, payload, err := s.conn.Read()
		if err == nil && h.Type == wire.TypeData {
			err = &wire.ProtocolError{Reason: "data came on a connection that is no lane"}
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

// finish gives the files their final names. It continues if the connection
// breaks, and stops if the sender cancels.
func (s *session) finish(ctx context.Context) (transfer.RecvTransfer, error) {
	finishing := s.progress()
	finishing.Finishing, finishing.Grown = true, s.row.Grown
	_ = s.conn.Send(wire.TypeProgress, finishing)
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
			}
		}
	})
	row, err := s.r.finish(ctx, s.in)
	cancel(nil)
	listener.Wait()
	if e, ok := errors.AsType[*endError](context.Cause(ctx)); ok && err != nil {
		return row, e
	}
	return row, err
}
