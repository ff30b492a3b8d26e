package receiver

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/wire"
)

const onWindows = runtime.GOOS == "windows"

// progressEvery is how often progress is sent to the sender.
const progressEvery = 250 * time.Millisecond

// intake is the state of the file list of a session.
type intake struct {
	settings wire.Open
	listed   int64 // number of announced entries, which is the index of the next one
	files    int64 // of the announced entries
	bytes    int64
}

// receiveData receives entries and their data until all are recorded.
func (s *session) receiveData(ctx context.Context, o wire.Open) (err error) {
	recorded, files, bytes, err := s.r.o.Store.RecvCount(ctx, s.in.key, s.in.id)
	if err != nil {
		return err
	}
	s.in.resumeAt(s.row, recorded)
	if err := s.openStaging(recorded); err != nil {
		return err
	}
	defer s.staging.Close()
	defer s.stagingDir.Close()
	if err := s.checkPartial(ctx, recorded); err != nil {
		return err
	}
	kept := s.in.partial
	s.in.files.Store(s.row.FilesReceived)
	s.in.bytes.Store(s.row.BytesReceived + kept.offset)
	s.in.counted.Store(true)
	s.intake = intake{settings: o, listed: recorded, files: files, bytes: bytes}

	s.commits = newCommitter(s)
	s.window = newWindow(recorded, s.commits.add)
	s.lanes = newLanes(o.Lanes)
	s.r.openSession(s)
	committed := make(chan struct{})
	go func() { defer close(committed); s.commits.run(context.WithoutCancel(ctx)) }()

	err = s.conn.Send(wire.TypeResume, wire.Resume{
		Index: recorded, Offset: kept.offset,
		Files: s.in.files.Load(), Bytes: s.in.bytes.Load(), AnswersSkip: s.answersSkip(),
		Session: s.lanes.secret, Lanes: s.lanes.most,
	})
	if err == nil {
		err = s.receiveFrames(ctx)
	}
	suspended := s.suspend()
	s.commits.close()
	<-committed
	if suspended {
		s.in.partial.left = lstat(s.staging, partName(s.in.partial.index))
	}
	if failed := s.commits.failure(); failed != nil {
		s.in.partial = partial{}
		return failed
	}
	if err != nil {
		return err
	}
	return s.r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		row, err := s.in.stillOpen(tx)
		if err != nil {
			return err
		}
		row.Finishing = true
		s.row = row
		return tx.SaveRecvTransfer(row)
	})
}

// resumeAt decides what is kept of the entry that comes next: what this process has
// received of it, or a former one had synced at its last checkpoint.
func (in *incoming) resumeAt(row *transfer.RecvTransfer, recorded int64) {
	if in.partial.offset > 0 && in.partial.index == recorded {
		return
	}
	in.partial = partial{}
	if row.PartialIndex == recorded {
		in.partial = partial{index: recorded, offset: row.PartialOffset}
	}
}

func (s *session) answersSkip() bool {
	return transfer.MaySkip(s.row.Conflict) || s.row.OnError == "continue"
}

// suspend ends the receiving of data. It remembers how much of the first entry
// that is not complete was received, for the next connection, and reports whether
// that has changed.
func (s *session) suspend() bool {
	s.window.close()
	e, n, mixed := s.window.front()
	switch kept := &s.in.partial; {
	case e == nil && s.window.len() == 0, e != nil && e.file == nil && e.Index == kept.index && n == kept.offset:
		return false // nothing has come
	case e == nil:
		*kept = partial{}
		return false
	case mixed:
		*kept = partial{index: e.Index, offset: n}
	default:
		*kept = partial{index: e.Index, offset: n, sum: e.sum}
	}
	return true
}

// receiveFrames handles control messages until all entries are complete and on
// their way to be recorded.
func (s *session) receiveFrames(ctx context.Context) error {
	progress := time.NewTicker(progressEvery)
	defer progress.Stop()
	for {
		select {
		case f := <-s.frames:
			err := f.err
			if err == nil {
				err = s.frame(ctx, f)
			}
			if err != nil {
				return cause(ctx, err)
			}
		case <-progress.C:
			s.publishProgress()
			if err := s.conn.Send(wire.TypeProgress, wire.Progress{Files: s.in.files.Load(), Bytes: s.in.bytes.Load()}); err != nil {
				return cause(ctx, err)
			}
		case <-s.window.drained:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// cause returns why ctx has ended, if it has, since err is then only its
// consequence.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (s *session) frame(ctx context.Context, f frame) error {
	switch f.Type {
	case wire.TypeEntries:
		var e wire.Entries
		if err := wire.Decode(f.payload, &e); err != nil {
			return err
		}
		return s.entries(ctx, e)
	case wire.TypeFileGone:
		var g wire.FileGone
		if err := wire.Decode(f.payload, &g); err != nil {
			return err
		}
		return s.gone(g)
	case wire.TypeCancel:
		var c wire.Cancel
		if err := wire.Decode(f.payload, &c); err != nil {
			return err
		}
		return cancelled(c)
	case wire.TypeEnd:
		return s.end()
	}
	return &wire.ProtocolError{Reason: fmt.Sprintf("a frame of type %d is out of place", f.Type)}
}

// end checks that the whole list was announced.
func (s *session) end() error {
	in := &s.intake
	if in.files != in.settings.TotalFiles || in.bytes != in.settings.TotalBytes {
		return &wire.ProtocolError{Reason: fmt.Sprintf("the sender ended after %d files and %d bytes; %d files and %d bytes were promised",
			in.files, in.bytes, in.settings.TotalFiles, in.settings.TotalBytes)}
	}
	s.window.end()
	return nil
}

// entries handles a page of the file list.
func (s *session) entries(ctx context.Context, page wire.Entries) error {
	in := &s.intake
	switch {
	case page.From != in.listed:
		return &wire.ProtocolError{Reason: fmt.Sprintf("a page of the file list begins at %d instead of %d", page.From, in.listed)}
	case s.window.len()+len(page.Entries) > maxPending:
		return &wire.ProtocolError{Reason: "the file list runs too far ahead of the data"}
	case in.listed+int64(len(page.Entries)) > s.r.o.MaxEntries:
		return failf(nil, "the transfer has more entries than this server takes (%d)", s.r.o.MaxEntries)
	}
	if err := s.commits.room(ctx); err != nil {
		return err
	}
	skip := []int64{}
	list := make([]*arrival, 0, len(page.Entries))
	for _, e := range page.Entries {
		a, err := s.entry(e)
		if err != nil {
			return err
		}
		if a.Skipped {
			skip = append(skip, a.Index)
		}
		list = append(list, a)
	}
	if s.answersSkip() {
		if err := s.conn.Send(wire.TypeSkip, wire.Skip{From: page.From, Indices: skip}); err != nil {
			return err
		}
	}
	for _, a := range list {
		switch {
		case a.Dir || a.Skipped:
			a.done = true
		case a.Size == 0:
			if err := s.openPart(a); err != nil {
				return err
			}
			a.Digest = s.named(digest.Bytes(s.r.o.Digest, nil))
			if err := s.complete(a); err != nil {
				return err
			}
			a.done = true
		}
	}
	s.window.add(list)
	return nil
}

// entry checks one entry of the file list and decides whether its data are
// needed.
func (s *session) entry(e wire.Entry) (*arrival, error) {
	in := &s.intake
	a := &arrival{RecvFile: transfer.RecvFile{
		Index: in.listed, Name: string(e.Name), Size: e.Size,
		Mode: e.Mode & 0o777, ModTime: e.ModTime, Dir: e.Dir,
	}}
	f := &a.RecvFile
	if f.Size < 0 || f.Dir && f.Size != 0 || f.Size > in.settings.TotalBytes-in.bytes {
		return nil, &wire.ProtocolError{Reason: "the sizes of the file list are not those of the transfer"}
	}
	begun := s.in.partial.offset > 0 && f.Index == s.in.partial.index
	if begun {
		if f.Dir || s.in.partial.offset > f.Size {
			return nil, &wire.ProtocolError{Reason: "the file list is not the one that the transfer began with"}
		}
		a.have = a.got.add(0, s.in.partial.offset)
		a.claimed.add(0, s.in.partial.offset)
	}
	in.listed++
	in.bytes += f.Size
	if !f.Dir {
		if in.files++; in.files > in.settings.TotalFiles {
			return nil, &wire.ProtocolError{Reason: "the file list has more files than the transfer"}
		}
	}
	if wrong := checkName(f.Name, onWindows); wrong != "" && !(f.Dir && f.Name == "/") {
		return a, s.refuse(f, fmt.Sprintf("the name %s %s", api.Quote(f.Name), wrong))
	}
	if f.Dir || !transfer.MaySkip(s.row.Conflict) && s.row.Conflict != transfer.ConflictFail || begun {
		return a, nil
	}
	there, err := s.place.look(s.place.path(f.Name))
	switch {
	case err != nil:
		return nil, err
	case there == nil:
	case s.row.Conflict == transfer.ConflictSkip:
		f.Skipped = true
	case transfer.MaySkip(s.row.Conflict):
		f.Skipped = there.Mode().IsRegular() && transfer.Keeps(s.row.Conflict, there.Size(), there.ModTime(), f.Size, stamp(f))
	default:
		return a, s.refuse(f, fmt.Sprintf("%s exists already at the receiver", api.Quote(s.place.path(f.Name))))
	}
	return a, nil
}

// refuse skips an entry if onError is continue; else it fails the transfer.
func (s *session) refuse(f *transfer.RecvFile, message string) error {
	if s.row.OnError != "continue" {
		return failf(nil, "%s", message)
	}
	f.Skipped, f.Error = true, message
	return nil
}

// gone handles the message that an entry cannot be read at the sender.
func (s *session) gone(g wire.FileGone) error {
	e, now, err := s.window.drop(g.Index, func(f *transfer.RecvFile) error {
		return s.refuse(f, "at the sender: "+wire.Clean(g.Message))
	})
	if err != nil || !now {
		return err
	}
	return s.discard(e)
}

// data takes a chunk of a lane.
func (s *session) data(h wire.Header, payload []byte) error {
	e, err := s.window.begin(s.ctx, h)
	if e == nil {
		return err
	}
	defer s.window.writing.Done()
	added, last, err := s.window.wrote(e, h, s.write(e, h, payload))
	if err != nil {
		return err
	}
	s.r.countData(s.in, int(added))
	switch {
	case !last:
		return nil
	case e.gone:
		return s.discard(e)
	}
	if err := s.complete(e); err != nil {
		return err
	}
	s.window.settled(e)
	return nil
}
