package receiver

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

const onWindows = runtime.GOOS == "windows"

// maxPending is how many announced entries may be without their data.
const maxPending = 8192

// hugeFile is the size of a file from which on it is tried whether the file
// system can hold it, before anything is written.
const hugeFile = 1 << 42

// progressEvery is how often progress is sent to the sender.
const progressEvery = 250 * time.Millisecond

// intake is the state of the data of a session: the announced entries and the
// file that is being written.
type intake struct {
	settings     wire.Open
	listed       int64 // number of announced entries, which is the index of the next one
	files        int64 // of the announced entries
	bytes        int64
	pending      []transfer.RecvFile // announced and not complete, in order
	file         *os.File            // the part file of pending[0]; nil before its first data
	offset       int64               // in pending[0]
	progressSent time.Time           // when progress was last sent
	commits      *committer
}

// receiveData receives entries and their data until all are recorded.
func (s *session) receiveData(ctx context.Context, o wire.Open) (err error) {
	recorded, files, bytes, err := s.r.o.Store.RecvCount(ctx, s.in.key, s.in.id)
	if err != nil {
		return err
	}
	if p := &s.in.partial; p.offset > 0 && p.entry.Index != recorded {
		*p = partial{}
	}
	if err := s.openStaging(recorded); err != nil {
		return err
	}
	defer s.staging.Close()
	s.in.files.Store(s.row.FilesReceived)
	s.in.bytes.Store(s.row.BytesReceived + s.in.partial.offset)
	s.in.counted.Store(true)
	s.intake = intake{settings: o, listed: recorded, files: files, bytes: bytes, offset: s.in.partial.offset}
	if err := s.conn.Send(wire.TypeResume, wire.Resume{
		Index: recorded, Offset: s.in.partial.offset,
		Files: s.in.files.Load(), Bytes: s.in.bytes.Load(), AnswersSkip: s.answersSkip(),
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.intake.commits = newCommitter(s, cancel)
	done := make(chan struct{})
	go func() { defer close(done); s.intake.commits.run(context.WithoutCancel(ctx)) }()
	err = s.receiveFrames(ctx)
	s.suspend(err)
	close(s.intake.commits.queue)
	<-done
	if failed := s.intake.commits.failure(); failed != nil {
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

func (s *session) answersSkip() bool {
	return s.row.Conflict == "skip" || s.row.OnError == "continue"
}

// suspend closes the file that is being written. If err is not nil it remembers
// how much of it was received, for the next connection.
func (s *session) suspend(err error) {
	in := &s.intake
	s.in.partial = partial{}
	if in.file == nil {
		return
	}
	if closing := in.file.Close(); closing == nil && err != nil && in.offset > 0 {
		s.in.partial = partial{entry: in.pending[0], offset: in.offset}
	}
	in.file = nil
}

// receiveFrames handles frames until the sender has sent everything.
func (s *session) receiveFrames(ctx context.Context) error {
	for {
		var f frame
		select {
		case f = <-s.frames:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if f.err != nil {
			return f.err
		}
		end, err := s.frame(f)
		if err != nil || end {
			return err
		}
		s.recycle(f)
		if err := s.sendProgress(); err != nil {
			return err
		}
	}
}

// sendProgress sends progress if progressEvery has passed.
func (s *session) sendProgress() error {
	now := time.Now()
	if now.Sub(s.intake.progressSent) < progressEvery {
		return nil
	}
	s.intake.progressSent = now
	return s.conn.Send(wire.TypeProgress, wire.Progress{Files: s.in.files.Load(), Bytes: s.in.bytes.Load()})
}

func (s *session) frame(f frame) (end bool, err error) {
	switch f.Type {
	case wire.TypeData:
		return false, s.data(f)
	case wire.TypeEntries:
		var e wire.Entries
		if err := wire.Decode(f.payload, &e); err != nil {
			return false, err
		}
		return false, s.entries(e)
	case wire.TypeFileGone:
		var g wire.FileGone
		if err := wire.Decode(f.payload, &g); err != nil {
			return false, err
		}
		return false, s.gone(g)
	case wire.TypeCancel:
		var c wire.Cancel
		if err := wire.Decode(f.payload, &c); err != nil {
			return false, err
		}
		return false, cancelled(c)
	case wire.TypeEnd:
		return true, s.complete()
	}
	return false, &wire.ProtocolError{Reason: fmt.Sprintf("a frame of type %d is out of place", f.Type)}
}

// complete checks that everything that the sender has announced has arrived.
func (s *session) complete() error {
	in := &s.intake
	if len(in.pending) > 0 || in.files != in.settings.TotalFiles || in.bytes != in.settings.TotalBytes {
		return &wire.ProtocolError{Reason: fmt.Sprintf("the sender ended after %d files and %d bytes with %d entries open; %d files and %d bytes were promised",
			in.files, in.bytes, len(in.pending), in.settings.TotalFiles, in.settings.TotalBytes)}
	}
	return nil
}

// entries handles a page of the file list.
func (s *session) entries(page wire.Entries) error {
	in := &s.intake
	switch {
	case page.From != in.listed:
		return &wire.ProtocolError{Reason: fmt.Sprintf("a page of the file list begins at %d instead of %d", page.From, in.listed)}
	case len(in.pending)+len(page.Entries) > maxPending:
		return &wire.ProtocolError{Reason: "the file list runs too far ahead of the data"}
	case in.listed+int64(len(page.Entries)) > s.r.o.MaxEntries:
		return failf(nil, "the transfer has more entries than this server takes (%d)", s.r.o.MaxEntries)
	}
	skip := []int64{}
	for _, e := range page.Entries {
		f, err := s.entry(e)
		if err != nil {
			return err
		}
		if f.Skipped {
			skip = append(skip, f.Index)
		}
		in.pending = append(in.pending, f)
	}
	if s.answersSkip() {
		if err := s.conn.Send(wire.TypeSkip, wire.Skip{From: page.From, Indices: skip}); err != nil {
			return err
		}
	}
	return s.advance()
}

// entry checks one entry of the file list and decides whether its data are
// needed.
func (s *session) entry(e wire.Entry) (transfer.RecvFile, error) {
	in := &s.intake
	f := transfer.RecvFile{
		Index: in.listed, Name: string(e.Name), Size: e.Size,
		Mode: e.Mode & 0o777, ModTime: e.ModTime, Dir: e.Dir,
	}
	if f.Size < 0 || f.Dir && f.Size != 0 || f.Size > in.settings.TotalBytes-in.bytes {
		return f, &wire.ProtocolError{Reason: "the sizes of the file list are not those of the transfer"}
	}
	if p := &s.in.partial; p.offset > 0 && f.Index == p.entry.Index && f != p.entry {
		return f, &wire.ProtocolError{Reason: "the file list is not the one that the transfer began with"}
	}
	in.listed++
	in.bytes += f.Size
	if !f.Dir {
		if in.files++; in.files > in.settings.TotalFiles {
			return f, &wire.ProtocolError{Reason: "the file list has more files than the transfer"}
		}
	}
	if wrong := checkName(f.Name, onWindows); wrong != "" && !(f.Dir && f.Name == "/") {
		return f, s.refuse(&f, fmt.Sprintf("the name %s %s", api.Quote(f.Name), wrong))
	}
	if f.Dir || s.row.Conflict != "skip" && s.row.Conflict != "fail" || in.offset > 0 && f.Index == s.in.partial.entry.Index {
		return f, nil
	}
	there, err := s.place.exists(s.place.path(f.Name))
	switch {
	case err != nil:
		return f, err
	case there && s.row.Conflict == "skip":
		f.Skipped = true
	case there:
		return f, s.refuse(&f, fmt.Sprintf("%s exists already at the receiver", api.Quote(s.place.path(f.Name))))
	}
	return f, nil
}

// refuse skips an entry if onError is continue; else it fails the transfer.
func (s *session) refuse(f *transfer.RecvFile, message string) error {
	if s.row.OnError != "continue" {
		return failf(nil, "%s", message)
	}
	f.Skipped, f.Error = true, message
	return nil
}

// advance completes the first pending entries, as long as they need no further
// data.
func (s *session) advance() error {
	in := &s.intake
	for len(in.pending) > 0 {
		f := in.pending[0]
		if !f.Skipped && in.offset < f.Size {
			return nil
		}
		if !f.Skipped && !f.Dir && in.file == nil { // an empty file
			if err := s.begin(); err != nil {
				return err
			}
		}
		if err := in.commits.add(finished{f, in.file}); err != nil {
			return err
		}
		in.pending, in.file, in.offset = in.pending[1:], nil, 0
	}
	in.pending = nil
	return nil
}

// begin opens the part file of the first pending entry.
func (s *session) begin() (err error) {
	in := &s.intake
	if in.offset > 0 {
		in.file, err = reopenPart(s.staging, in.pending[0].Index, in.offset)
	} else {
		in.file, err = createPart(s.staging, in.pending[0].Index)
		if size := in.pending[0].Size; err == nil && size > hugeFile {
			if err := checkSize(in.file, size); err != nil {
				return failf(err, "%s has %d bytes, which the receiver's file system cannot hold", api.Quote(s.place.path(in.pending[0].Name)), size)
			}
		}
	}
	return diskError(err, api.Quote(s.place.path(in.pending[0].Name)))
}

// data handles a chunk, which must be the next one of the first pending entry.
func (s *session) data(f frame) error {
	in := &s.intake
	if len(in.pending) == 0 || f.Index != in.pending[0].Index || f.Offset != in.offset ||
		f.Length == 0 || int64(f.Length) > in.pending[0].Size-in.offset {
		return &wire.ProtocolError{Reason: fmt.Sprintf("a chunk of entry %d at offset %d with %d bytes is out of place", f.Index, f.Offset, f.Length)}
	}
	if in.file == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	s.writer.file, s.writer.offset = in.file, in.offset
	if _, err := s.writer.Write(f.payload); err != nil {
		return diskError(err, api.Quote(s.place.path(in.pending[0].Name)))
	}
	in.offset += int64(f.Length)
	s.r.countData(s.in, f.Length)
	s.publishProgress()
	return s.advance()
}

// gone handles the message that the first pending entry cannot be read at the
// sender.
func (s *session) gone(g wire.FileGone) error {
	in := &s.intake
	if len(in.pending) == 0 || g.Index != in.pending[0].Index {
		return &wire.ProtocolError{Reason: fmt.Sprintf("entry %d is not the one that is being sent", g.Index)}
	}
	if err := s.refuse(&in.pending[0], "at the sender: "+wire.Clean(g.Message)); err != nil {
		return err
	}
	if in.file != nil {
		if err := in.file.Close(); err != nil {
			return diskError(err, api.Quote(s.place.path(in.pending[0].Name)))
		}
		in.file = nil
		if err := s.staging.Remove(partName(g.Index)); err != nil {
			return diskError(err, api.Quote(s.place.path(in.pending[0].Name)))
		}
	}
	s.in.bytes.Add(-in.offset)
	return s.advance()
}

// finished is an entry with all its data. file is its opened part file, or nil.
type finished struct {
	transfer.RecvFile
	file *os.File
}

// received reports whether the entry counts as a received file.
func (f finished) received() bool { return !f.Skipped && !f.Dir }

// stamp returns the final modification time of an entry.
func stamp(f *transfer.RecvFile) time.Time { return time.Unix(0, f.ModTime) }
