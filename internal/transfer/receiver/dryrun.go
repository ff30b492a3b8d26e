package receiver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

const (
	// dryRunFor is how long a dry run may take. A sender's API ends one earlier.
	dryRunFor = 15 * time.Minute
	// maxReasons is how many refusals of a dry run come with a reason.
	maxReasons = 1000
)

// dryRun answers what would be done with a list. It stores nothing, and makes nothing
// in the user's sandbox.
func (r *Receiver) dryRun(ctx context.Context, conn *wire.Conn, helpers *sync.WaitGroup, payload []byte, accepted time.Time) error {
	var d wire.DryRun
	if err := wire.Decode(payload, &d); err != nil {
		return err
	}
	if len(d.Username) > maxUsername || len(d.Password) > maxPassword {
		return &wire.ProtocolError{Reason: "the login is malformed"}
	}
	seen := loginOf(conn, d.Username, "")
	access, err := r.o.Accounts.LoginSender(ctx, d.Username, d.Password, conn.RemoteAddr().String())
	if seen.Err = err; err == nil {
		seen.Username, seen.TokenID = access.User.Name, access.TokenID
	}
	r.o.Logins(context.WithoutCancel(ctx), seen)
	if err != nil {
		return err
	}
	r.limiter.Pin(conn.NetConn())
	conn.Limit(time.Now().Add(dryRunFor))
	s := &session{
		r: r, conn: conn, in: &incoming{key: conn.PeerKey()}, helpers: helpers, frames: make(chan frame, 1), accepted: accepted,
		row: &transfer.RecvTransfer{
			Username: access.User.Name, TokenID: access.TokenID, Confined: access.Path, SourcePublicKey: conn.PeerKey(), StartTime: api.Now(),
			Conflict: d.Open.Conflict, OnError: "continue", TotalFiles: d.Open.TotalFiles, TotalSize: d.Open.TotalBytes,
		},
	}
	ctx, s.fail = context.WithCancelCause(ctx)
	defer s.fail(nil)
	err = cause(ctx, s.preview(ctx, d.Open))
	if e, ok := errors.AsType[*endError](err); ok {
		return api.Wrap(e.cause, api.CodeConflict, "%s", e.message)
	}
	if err != nil {
		return err
	}
	return conn.Send(wire.TypeOutcome, wire.Outcome{Status: string(transfer.StatusComplete)})
}

// preview answers the whole list of a dry run.
func (s *session) preview(ctx context.Context, o wire.Open) (err error) {
	if s.row.DestinationPath, err = s.checkSettings(o); err != nil {
		return err
	}
	if s.row.Mirror, err = mirrorOf(o, s.accepted); err != nil {
		return err
	}
	if s.row.Mirror != nil {
		if err := s.r.mayMirror(ctx, s.row.Username); err != nil {
			return err
		}
	}
	if s.box, err = s.r.openBox(ctx, s.row); err != nil {
		return err
	}
	defer s.box.Close()
	s.place = newPlacer(s.box, s.row)
	defer s.place.close()
	dir, err := s.place.nearest(s.row.DestinationPath)
	if err != nil {
		return err
	}
	s.row.Staging = path.Join(dir, transfer.StagingPrefix)
	if err := s.checkSpace(o); err != nil {
		return err
	}
	if err := writable(s.box.Absolute(dir)); err != nil {
		return diskError(err, "the directory for part files in "+api.Quote(s.row.DestinationPath))
	}
	s.intake = intake{settings: o}
	s.helpers.Go(func() { s.read(ctx) })
	s.helpers.Go(func() { _ = s.conn.KeepAlive(ctx) })
	if err := s.conn.Send(wire.TypeResume, wire.Resume{AnswersSkip: true}); err != nil {
		return err
	}
	stop := s.startComparing(ctx)
	defer stop()
	prunes := newPreviewer(s)
	for reasons := maxReasons; ; {
		var f frame
		select {
		case f = <-s.frames:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if f.err != nil {
			return f.err
		}
		switch f.Type {
		case wire.TypeEntries:
			var e wire.Entries
			if err := wire.Decode(f.payload, &e); err != nil {
				return err
			}
			if err := s.previewPage(ctx, e, &reasons, prunes); err != nil {
				return err
			}
		case wire.TypeDigests, wire.TypeEnd:
			if err := s.frame(ctx, f); err != nil {
				return err
			}
			if f.Type == wire.TypeEnd {
				return prunes.run(ctx)
			}
		default:
			return &wire.ProtocolError{Reason: fmt.Sprintf("a frame of type %d is out of place in a dry run", f.Type)}
		}
	}
}

// previewPage answers a page of the list. reasons is how many more refusals come with
// one.
func (s *session) previewPage(ctx context.Context, page wire.Entries, reasons *int, prunes *previewer) error {
	in := &s.intake
	if err := s.checkPage(page, in.compares.len()); err != nil {
		return err
	}
	list := make([]*arrival, 0, len(page.Entries))
	for _, e := range page.Entries {
		a, err := s.entry(ctx, e)
		if err == nil && !a.Skipped && a.there == nil {
			err = s.foresee(&a.RecvFile)
		}
		if err != nil {
			return err
		}
		if a.Error != "" {
			r := wire.Refused{Index: a.Index}
			if *reasons > 0 {
				r.Message = wire.Clean(a.Error)
				*reasons--
			}
			if err := s.conn.Send(wire.TypeRefused, r); err != nil {
				return err
			}
		}
		if err := prunes.add(&a.RecvFile); err != nil {
			return err
		}
		list = append(list, a)
	}
	if in.compares != nil {
		return in.compares.add(list)
	}
	return s.conn.Send(wire.TypeSkip, skipOf(page.From, list))
}

// foresee refuses an entry that could not get its name.
func (s *session) foresee(f *transfer.RecvFile) error {
	final := s.place.path(f.Name)
	if final == "/" {
		return nil
	}
	dir, err := s.place.resolve(path.Dir(final))
	if e, ok := errors.AsType[*endError](err); ok {
		return s.refuse(f, e.message)
	}
	if err != nil {
		return err
	}
	rel := path.Join(dir, path.Base(final))
	there, err := s.place.root.Lstat(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && f.Dir && there.Mode()&fs.ModeSymlink != 0 { // one to a directory is accepted
		there, err = s.place.root.Stat(rel)
	}
	switch {
	case isExhausted(err):
		return err
	case err != nil:
		if e, ok := errors.AsType[*endError](diskError(err, api.Quote(final))); ok {
			return s.refuse(f, e.message)
		}
		return err
	case f.Dir && !there.IsDir():
		return s.refuse(f, fmt.Sprintf("%s is in the way of a directory of that name", api.Quote(final)))
	case !f.Dir && there.IsDir() && transfer.Replaces(s.row.Conflict):
		return s.refuse(f, "a directory is in the way at "+api.Quote(final))
	}
	return nil
}
