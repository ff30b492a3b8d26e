package sender

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// errChanged reports that a file is not what was announced.
var errChanged = errors.New("the file has changed")

// source is a file in one of its versions: as it was announced, or as it was when the
// sender found it changed. All chunks of a version are of one state of the file.
type source struct {
	transfer.ManifestFile
	version int
	more    int64       // by how many bytes it is larger than the version before
	stale   atomic.Bool // there is a newer version
	// first is the file that the first part was read of, if there are several.
	first atomic.Pointer[os.FileInfo]
	// recorded is for recording its state, or finding that not to be fit for it.
	recorded sync.Once
	resumed  bool // its beginning was sent before

	// Of the queue, unless it is the first version.
	ready bool  // the receiver expects it
	next  int64 // offset of the next piece
}

// unchanged reports whether a file that was just read is still the version.
func (f *source) unchanged(now os.FileInfo, parts bool) bool {
	if !transfer.Unchanged(f.ManifestFile, now) {
		return false
	}
	if !parts || f.first.CompareAndSwap(nil, &now) {
		return true
	}
	return os.SameFile(*f.first.Load(), now)
}

// change announces that a file is not the version that was announced. Its data go on
// once the receiver has answered; parts of former versions are passed over.
func (s *stream) change(opener *transfer.Opener, f *source) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if f.stale.Load() || s.isGone(f.Index) { // another lane was first
		return nil
	}
	now, _, err := opener.Stat(f.ManifestFile)
	if err != nil {
		return sourceError(err)
	}
	if f.version == wire.MaxChanges {
		return failf(nil, true, "source %s changes all the time: it has changed %d times while it was sent; send it when it is at rest",
			api.Quote(f.Source), f.version+1)
	}
	next := &source{ManifestFile: now, version: f.version + 1, more: now.Size - f.Size}
	f.stale.Store(true)
	s.queue.change(next)
	return s.control(wire.TypeFileChanged, wire.FileChanged{
		Index: now.Index, Size: now.Size, Mode: now.Mode, ModTime: now.ModTime, Version: next.version,
	})
}

// expected handles the answer to FileChanged.
func (s *stream) expected(payload []byte) error {
	var e wire.FileExpected
	if err := wire.Decode(payload, &e); err != nil {
		return err
	}
	f := s.queue.expected(e)
	switch {
	case f == nil && s.isGone(e.Index):
	case f == nil:
		return s.a.broken("it expects version %d of entry %d, which it was not asked about", e.Version, e.Index)
	case e.Version == f.version:
		s.a.grown.Add(f.more)
	}
	return nil
}

// find returns where in changes the file of an index is, or would be. mu is held.
func (q *queue) find(index int64) (at int, there bool) {
	return slices.BinarySearchFunc(q.changes, index, func(f *source, i int64) int { return cmp.Compare(f.Index, i) })
}

// change adds a version of a file that the receiver has not answered about, in place of
// a former one.
func (q *queue) change(f *source) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(f.Index)
	at, _ := q.find(f.Index)
	q.changes = slices.Insert(q.changes, at, f)
}

// expected handles the answer about a version, which it returns; nil if there is none.
func (q *queue) expected(e wire.FileExpected) *source {
	q.mu.Lock()
	defer q.mu.Unlock()
	at, there := q.find(e.Index)
	if !there {
		return nil
	}
	f := q.changes[at]
	switch {
	case f.ready || e.Version != f.version && e.Version != f.version-1:
		return nil
	case e.Version == f.version && f.Size > 0:
		f.ready = true
		q.ready++
	default: // there is nothing to send
		q.remove(e.Index)
	}
	q.changed.Broadcast()
	return f
}

// forget removes a file that cannot be read.
func (q *queue) forget(index int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(index)
	q.changed.Broadcast()
}

// remove removes a file from changes. mu is held.
func (q *queue) remove(index int64) {
	if at, there := q.find(index); there {
		if q.changes[at].ready {
			q.ready--
		}
		q.changes = slices.Delete(q.changes, at, at+1)
	}
}

// cuttable reports whether there is a piece of changed files to be sent. What is not
// acknowledged is bounded, as in put. mu is held.
func (q *queue) cuttable() bool { return q.ready > 0 && len(q.open) < 2*maxOpen }

// cut returns a piece of changed files that the receiver expects, of which there must be
// one. mu is held.
func (q *queue) cut() *piece {
	p, filled := &piece{}, 0
	for i := 0; i < len(q.changes); {
		f := q.changes[i]
		if !f.ready {
			i++
			continue
		}
		n := int(min(f.Size-f.next, int64(q.pieceSize)))
		if filled > 0 && filled+n+wire.HeaderSize > q.pieceSize {
			break
		}
		p.parts = append(p.parts, part{file: f, offset: f.next, length: n})
		filled += n + wire.HeaderSize
		if f.next += int64(n); f.next < f.Size {
			break
		}
		q.remove(f.Index)
	}
	at, _ := slices.BinarySearchFunc(q.open, p.first(), func(o *piece, i int64) int { return cmp.Compare(o.first(), i) })
	q.open = slices.Insert(q.open, at, p)
	q.unsent++
	return p
}

// first returns the index of the first file of the piece.
func (p *piece) first() int64 { return p.parts[0].file.Index }
