package receiver

import (
	"context"
	"fmt"
	"runtime"
	"time"

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
	s.in.waits.Store("")
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
			if err := s.checkFloor(); err != nil {
				return err
			}
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
