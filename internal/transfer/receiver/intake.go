package receiver

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

const onWindows = runtime.GOOS == "windows"

// progressEvery is how often progress is sent to the sender.
const progressEvery = 250 * time.Millisecond

// intake is the state of the file list of a session.
type intake struct {
	settings wire.Open
	listed   int64     // number of announced entries, which is the index of the next one
	compares *comparer // nil: files are not compared by digests
	files    int64     // of the announced entries
	bytes    int64     // of them, as the list was made
	grown    int64     // by how many bytes they are larger now
}

// receiveData receives entries and their data until all are recorded.
func (s *session) receiveData(ctx context.Context, o wire.Open) (err error) {
	recorded, files, bytes, err := s.r.o.Store.RecvCount(ctx, s.in.key, s.in.id)
	if err != nil {
		return err
	}
	if recorded == 0 {
		s.in.verified = true // the rest comes while this process runs
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
	s.in.bytes.Store(s.row.BytesReceived + kept.Offset)
	s.in.grown.Store(s.row.Grown)
	s.in.counted.Store(true)
	s.intake = intake{settings: o, listed: recorded, files: files, bytes: bytes - s.row.Grown, grown: s.row.Grown}

	s.commits = newCommitter(s)
	s.window = newWindow(recorded, s.commits.add)
	s.lanes = newLanes(o.Lanes)
	s.r.openSession(s)
	committed := make(chan struct{})
	go func() { defer close(committed); s.commits.run(context.WithoutCancel(ctx)) }()

	err = s.conn.Send(wire.TypeResume, wire.Resume{
		Index: recorded, Offset: kept.Offset, Size: kept.Size, ModTime: kept.ModTime, Grown: s.row.Grown,
		Files: s.in.files.Load(), Bytes: s.in.bytes.Load(), AnswersSkip: s.answersSkip(),
		Session: s.lanes.secret, Lanes: s.lanes.most,
	})
	if err == nil {
		stop := s.startComparing(ctx)
		err = s.receiveFrames(ctx)
		stop()
	}
	suspended := s.suspend()
	s.commits.close()
	<-committed
	if suspended {
		s.in.partial.left = lstat(s.staging, partName(s.in.partial.Index))
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
	if in.partial.Offset > 0 && in.partial.Index == recorded {
		return
	}
	in.partial = partial{}
	if row.Partial.Index == recorded && row.Partial.Offset > 0 {
		in.partial = partial{Checkpoint: row.Partial}
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
	e, at, mixed := s.window.front()
	switch kept := &s.in.partial; {
	case e == nil && s.window.len() == 0, e != nil && e.file == nil && at.Index == kept.Index && at.Offset == kept.Offset:
		return false // nothing has come
	case e == nil:
		*kept = partial{}
		return false
	case mixed:
		*kept = partial{Checkpoint: at}
	default:
		*kept = partial{Checkpoint: at, sum: e.sum}
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
			if err := s.conn.Send(wire.TypeProgress, s.progress()); err != nil {
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
	case wire.TypeFileChanged:
		var c wire.FileChanged
		if err := wire.Decode(f.payload, &c); err != nil {
			return err
		}
		return s.changed(ctx, c)
	case wire.TypeCancel:
		var c wire.Cancel
		if err := wire.Decode(f.payload, &c); err != nil {
			return err
		}
		return cancelled(c)
	case wire.TypeDigests:
		var d wire.Digests
		if err := wire.Decode(f.payload, &d); err != nil {
			return err
		}
		return s.intake.compares.answered(d.Digests)
	case wire.TypeEnd:
		return s.end()
	}
	return &wire.ProtocolError{Reason: fmt.Sprintf("a frame of type %d is out of place", f.Type)}
}

// end checks that the whole list was announced.
func (s *session) end() error {
	in := &s.intake
	if in.compares.len() > 0 {
		return &wire.ProtocolError{Reason: "the sender ended before the digests of all files were compared"}
	}
	if in.files != in.settings.TotalFiles || in.bytes != in.settings.TotalBytes {
		return &wire.ProtocolError{Reason: fmt.Sprintf("the sender ended after %d files and %d bytes; %d files and %d bytes were promised",
			in.files, in.bytes, in.settings.TotalFiles, in.settings.TotalBytes)}
	}
	if s.window != nil { // it is no dry run
		s.window.end()
	}
	return nil
}

// entries handles a page of the file list.
func (s *session) entries(ctx context.Context, page wire.Entries) error {
	in := &s.intake
	if err := s.checkPage(page, int(in.listed-s.window.position())); err != nil {
		return err
	}
	if err := s.commits.room(ctx); err != nil {
		return err
	}
	list := make([]*arrival, 0, len(page.Entries))
	for _, e := range page.Entries {
		a, err := s.entry(ctx, e)
		if err != nil {
			return err
		}
		list = append(list, a)
	}
	if in.compares != nil {
		return in.compares.add(list)
	}
	if s.answersSkip() {
		if err := s.conn.Send(wire.TypeSkip, skipOf(page.From, list)); err != nil {
			return err
		}
	}
	return s.take(list)
}

// checkPage checks the place of a page in the list, of which a number of entries are
// pending.
func (s *session) checkPage(page wire.Entries, pending int) error {
	switch in := &s.intake; {
	case page.From != in.listed:
		return &wire.ProtocolError{Reason: fmt.Sprintf("a page of the file list begins at %d instead of %d", page.From, in.listed)}
	case pending+len(page.Entries) > maxPending:
		return &wire.ProtocolError{Reason: "the file list runs too far ahead of the data"}
	case in.listed+int64(len(page.Entries)) > s.r.o.MaxEntries:
		return failf(nil, "the transfer has more entries than this server takes (%d)", s.r.o.MaxEntries)
	}
	return nil
}

// skipOf returns the answer to a page.
func skipOf(from int64, list []*arrival) wire.Skip {
	skip := []int64{}
	for _, a := range list {
		if a.Skipped {
			skip = append(skip, a.Index)
		}
	}
	return wire.Skip{From: from, Indices: skip}
}

// take lets the data of a page come, but not in a dry run.
func (s *session) take(list []*arrival) error {
	if s.window == nil {
		return nil
	}
	for _, a := range list {
		switch {
		case a.Dir || a.Skipped:
			a.done = true
		case a.Size == 0:
			if err := s.empty(a); err != nil {
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
func (s *session) entry(ctx context.Context, e wire.Entry) (*arrival, error) {
	in := &s.intake
	a := &arrival{RecvFile: transfer.RecvFile{
		Index: in.listed, Name: string(e.Name), Size: e.Size,
		Mode: e.Mode & 0o777, ModTime: e.ModTime, Dir: e.Dir, Grown: e.Grown,
	}}
	f := &a.RecvFile
	if f.Size < 0 || f.Size > maxTotalBytes || f.Dir && (f.Size != 0 || e.Grown != 0) ||
		e.Grown > f.Size || e.Grown < f.Size-(in.settings.TotalBytes-in.bytes) {
		return nil, &wire.ProtocolError{Reason: "the sizes of the file list are not those of the transfer"}
	}
	if err := in.grow(e.Grown); err != nil {
		return nil, err
	}
	s.in.grown.Store(in.grown)
	kept := s.in.partial
	begun := kept.Offset > 0 && f.Index == kept.Index
	switch {
	case begun && f.Dir:
		return nil, &wire.ProtocolError{Reason: "the file list is not the one that the transfer began with"}
	case begun && (kept.Size != f.Size || kept.ModTime != f.ModTime):
		begun = false
		if err := s.forgetPartial(ctx); err != nil {
			return nil, err
		}
	case begun:
		a.resumed = kept.Offset
		a.have = a.got.add(0, kept.Offset)
		a.claimed.add(0, kept.Offset)
	}
	in.listed++
	in.bytes += f.Size - e.Grown
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
	case in.settings.Checksum:
		if f.Skipped = there.Mode().IsRegular() && there.Size() == f.Size; f.Skipped && f.Size > 0 {
			f.Skipped, a.there = false, there
		}
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
