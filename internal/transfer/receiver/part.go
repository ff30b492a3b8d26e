package receiver

import (
	"errors"
	"os"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/wire"
)

// hugeFile is the size of a file from which on a file system that does not take
// it is not said to be full.
const hugeFile = 1 << 42

// write writes a chunk into the part file.
func (s *session) write(e *arrival, h wire.Header, payload []byte) error {
	if err := s.spend(len(payload)); err != nil {
		return err
	}
	if err := s.openPart(e); err != nil {
		return err
	}
	w := sparse{file: e.file, offset: h.Offset, size: e.Size}
	if _, err := w.Write(payload); err != nil {
		return s.writeError(e, err)
	}
	if e.whole(h) && e.Size <= digest.BlockSize {
		e.Digest = s.named(digest.Bytes(s.r.o.Digest, payload))
		return nil
	}
	e.opening.Lock()
	if e.sum == nil {
		e.sum = digest.New(s.r.blockAlgorithm(), e.Size)
	}
	sum := e.sum
	e.opening.Unlock()
	sum.Add(h.Offset, payload)
	return nil
}

// named puts the algorithm before a digest.
func (s *session) named(sum string) string {
	if sum == "" {
		return ""
	}
	return string(s.r.o.Digest) + ":" + sum
}

// whole reports whether a chunk is the whole file.
func (e *arrival) whole(h wire.Header) bool { return h.Offset == 0 && int64(h.Length) == e.Size }

func (s *session) writeError(e *arrival, err error) error {
	return diskError(err, api.Quote(s.place.path(e.Name)))
}

// openPart opens the part file of an entry, unless it is open.
func (s *session) openPart(e *arrival) (err error) {
	e.opening.Lock()
	defer e.opening.Unlock()
	if e.file != nil {
		return nil
	}
	if e.resumed > 0 {
		e.file, err = reopenPart(s.staging, e.Index, e.resumed)
		if sum := s.in.partial.sum; sum != nil && sum.Size() == e.Size {
			e.sum = sum
		}
	} else {
		e.file, err = createPart(s.staging, e.Index)
	}
	if err != nil {
		return s.writeError(e, err)
	}
	if e.Size > wire.MaxData { // so that its chunks can come in any order
		err = e.file.Truncate(e.Size)
		if err != nil && e.Size > hugeFile && !isFull(err) {
			return failf(err, "%s has %d bytes, which the receiver's file system cannot hold", api.Quote(s.place.path(e.Name)), e.Size)
		}
	}
	return s.writeError(e, err)
}

// complete computes the digest of a complete entry, of which only what came in
// disorder is read for it, and gives its part file its mode and time, as far as
// its file system has them. It leaves a few files open to be synced one by one; of
// more, the file system is synced.
func (s *session) complete(e *arrival) error {
	if e.Digest == "" {
		of := e.sum
		if e.mixed || of == nil || s.r.o.Digest.InOrder() {
			of = digest.New(s.r.o.Digest, e.Size)
		}
		sum, err := of.Finish(e.file)
		if err != nil {
			return s.writeError(e, err)
		}
		e.Digest = s.named(sum)
		e.opening.Lock()
		e.sum = nil
		e.opening.Unlock()
	}
	err := tolerateModeless(e.file.Chmod(os.FileMode(e.Mode)))
	if err == nil {
		err = tolerateModeless(s.staging.Chtimes(partName(e.Index), stamp(&e.RecvFile), stamp(&e.RecvFile)))
	}
	if err == nil && s.commits.leaveOpen() {
		return nil
	}
	if err == nil && !s.syncsFS {
		err = e.file.Sync()
	}
	err = errors.Join(err, e.file.Close())
	e.opening.Lock()
	e.file = nil
	e.opening.Unlock()
	return s.writeError(e, err)
}

// discard removes what has arrived of an entry that the sender cannot read.
func (s *session) discard(e *arrival) error {
	s.in.bytes.Add(-e.have)
	if e.file != nil {
		err := errors.Join(e.file.Close(), s.staging.Remove(partName(e.Index)))
		e.file = nil
		if err != nil {
			return s.writeError(e, err)
		}
	}
	s.window.settled(e)
	return nil
}

// finished is an entry with all its data. file is its opened part file, which
// must be synced; nil if it has none or is closed.
type finished struct {
	transfer.RecvFile
	file *os.File
}

// received reports whether the entry counts as a received file.
func (f finished) received() bool { return !f.Skipped && !f.Dir }

// stamp returns the final modification time of an entry.
func stamp(f *transfer.RecvFile) time.Time { return time.Unix(0, f.ModTime) }
