package receiver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sort"
	"sync"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/wire"
)

const (
	// maxPending is how many announced entries may be without their data.
	maxPending = 8192
	// maxSpans is how many parts of the pending files may lie apart. Senders wait
	// for acknowledgements before that many pieces are under way.
	maxSpans = 1 << 14
	// maxRepeated is how many bytes, with headers, may arrive in vain for each lane that
	// has joined, since what a lane that broke had sent goes over another one, and for
	// each change of a file.
	maxRepeated = 64 << 20
)

// errOver reports that a session takes no further data.
var errOver = errors.New("the session is over")

// span is a part of a file.
type span struct{ from, to int64 }

// spans are the parts of a file that have arrived: in order, without overlaps,
// and not adjacent.
type spans []span

// add adds a part and returns how many bytes of it are new.
func (s *spans) add(from, to int64) (added int64) {
	list := *s
	i := sort.Search(len(list), func(i int) bool { return list[i].to >= from })
	added = to - from
	whole, end := span{from, to}, i
	for ; end < len(list) && list[end].from <= to; end++ {
		o := list[end]
		added -= max(0, min(o.to, to)-max(o.from, from))
		whole = span{min(whole.from, o.from), max(whole.to, o.to)}
	}
	*s = slices.Replace(list, i, end, whole)
	return added
}

// prefix returns how many bytes from the beginning on have arrived.
func (s *spans) prefix() int64 {
	if list := *s; len(list) > 0 && list[0].from == 0 {
		return list[0].to
	}
	return 0
}

// arrival is an announced entry and what has arrived of it. All but opening and
// file is for the holder of window.mu.
type arrival struct {
	transfer.RecvFile
	claimed spans // taken by begin
	got     spans // written
	have    int64 // bytes that got has
	mixed   bool  // chunks have overlapped
	writers int   // chunks that are being written
	gone    bool  // the sender cannot read it
	done    bool
	resumed int64         // bytes of it that were there before this session
	version int           // of the file: how often it has changed in this session
	idle    chan struct{} // closed when nothing of a former version is being written; nil unless it is changing

	there  fs.FileInfo // the file of the same size that it is to be compared with; nil: none
	theirs string      // the sender's digest for that

	opening sync.Mutex   // held while file is opened
	file    *os.File     // the part file, nil before its first data
	sum     *digest.File // of its data, nil while there are none or if they came in one chunk; see opening
}

// window holds the entries that are announced and not recorded, and takes their
// data in any order from several lanes. Safe for concurrent use.
type window struct {
	// hand takes the complete entries, in order. mu is held.
	hand func(finished)

	mu        sync.Mutex
	first     int64         // index of pending[0]
	pending   []*arrival    // in order; the first one is not complete
	announced chan struct{} // closed when further entries are announced
	ended     bool          // the list is complete
	drained   chan struct{} // closed when the list is complete and nothing is pending
	over      bool
	writing   sync.WaitGroup // chunks that are being taken
	repeated  int64          // bytes that came twice
	joined    int64          // lanes so far
	apart     int            // parts that were claimed of the pending entries
	changes   int64          // of files, so far
}

func newWindow(first int64, hand func(finished)) *window {
	return &window{hand: hand, first: first, announced: make(chan struct{}), drained: make(chan struct{})}
}

// add announces further entries; of those that are done no data are taken.
func (w *window) add(list []*arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = append(w.pending, list...)
	for _, e := range list {
		w.apart += len(e.claimed)
	}
	w.wake()
	w.advance()
}

// wake wakes the lanes that wait for entries. mu is held.
func (w *window) wake() {
	close(w.announced)
	w.announced = make(chan struct{})
}

// len returns how many entries are pending.
func (w *window) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending)
}

// position returns the index of the first entry that is not complete.
func (w *window) position() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.first
}

// end says that the list is complete.
func (w *window) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.wake()
	w.advance()
}

// advance hands over the complete entries at the front. mu is held.
func (w *window) advance() {
	n := 0
	for ; n < len(w.pending) && w.pending[n].done; n++ {
		w.hand(finished{w.pending[n].RecvFile, w.pending[n].file})
		w.pending[n] = nil
	}
	w.pending, w.first = w.pending[n:], w.first+int64(n)
	if w.ended && len(w.pending) == 0 {
		select {
		case <-w.drained:
		default:
			close(w.drained)
		}
	}
}

// begin returns the entry of a chunk, once it is announced; nil if the chunk has
// arrived already. If it returns an entry, wrote and writing.Done must follow.
func (w *window) begin(ctx context.Context, h wire.Header) (*arrival, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for h.Index >= w.first+int64(len(w.pending)) && !w.ended && !w.over {
		announced := w.announced
		w.mu.Unlock()
		select {
		case <-announced:
			w.mu.Lock()
		case <-ctx.Done():
			w.mu.Lock()
			return nil, context.Cause(ctx)
		}
	}
	if h.Index < w.first {
		return nil, w.repeat(h)
	}
	if w.over {
		return nil, errOver
	}
	outOfPlace := &wire.ProtocolError{Reason: fmt.Sprintf("a chunk of entry %d at offset %d with %d bytes is out of place", h.Index, h.Offset, h.Length)}
	if h.Index >= w.first+int64(len(w.pending)) || h.Length == 0 {
		return nil, outOfPlace
	}
	e := w.pending[h.Index-w.first]
	if h.Version < e.version {
		return nil, w.repeat(h)
	}
	if h.Version > e.version || e.idle != nil || e.Dir || h.Offset > e.Size || int64(h.Length) > e.Size-h.Offset {
		return nil, outOfPlace
	}
	if e.done || e.gone || e.Skipped {
		return nil, w.repeat(h)
	}
	before := len(e.claimed)
	added := e.claimed.add(h.Offset, h.Offset+int64(h.Length))
	w.apart += len(e.claimed) - before
	switch {
	case w.apart > maxSpans:
		return nil, &wire.ProtocolError{Reason: fmt.Sprintf("the chunks lie too far apart: now that of entry %d at offset %d", h.Index, h.Offset)}
	case added == 0:
		return nil, w.repeat(h)
	case added < int64(h.Length):
		e.mixed = true
	}
	e.writers++
	w.writing.Add(1)
	return e, nil
}

// repeat counts a chunk that has arrived before. mu is held.
func (w *window) repeat(h wire.Header) error {
	w.repeated += int64(h.Length) + wire.HeaderSize
	if w.repeated > (w.joined+w.changes)*maxRepeated {
		return &wire.ProtocolError{Reason: fmt.Sprintf("chunks are sent again and again: now that of entry %d at offset %d", h.Index, h.Offset)}
	}
	return nil
}

// wrote follows begin: the chunk was written, or failed to be. It returns how
// many of its bytes are new, and whether the entry has nothing left to write: then its
// file must be completed, or removed if it is gone, and settled must follow.
func (w *window) wrote(e *arrival, h wire.Header, failed error) (added int64, last bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.writers--
	if e.idle != nil && e.writers == 0 {
		close(e.idle)
	}
	if failed != nil || e.idle != nil {
		return 0, false, failed
	}
	if !e.gone {
		added = e.got.add(h.Offset, h.Offset+int64(h.Length))
		e.have += added
	}
	return added, e.writers == 0 && (e.gone || e.have == e.Size), nil
}

// drop says that the sender cannot read an entry. One that has arrived is kept, as the
// sender may not know that yet. now reports whether nothing of it is being written, so
// that its file must be removed now, and settled must follow.
func (w *window) drop(index int64, refuse func(*transfer.RecvFile) error) (e *arrival, now bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wrong := &wire.ProtocolError{Reason: fmt.Sprintf("entry %d is not one that is being sent", index)}
	switch {
	case index < 0 || index >= w.first+int64(len(w.pending)):
		return nil, false, wrong
	case index < w.first:
		return nil, false, nil
	}
	e = w.pending[index-w.first]
	switch {
	case e.gone:
		return nil, false, wrong
	case e.done || e.have == e.Size:
		return nil, false, nil
	}
	if err := refuse(&e.RecvFile); err != nil {
		return nil, false, err
	}
	e.gone = true
	return e, e.writers == 0, nil
}

// settled says that an entry is complete.
func (w *window) settled(e *arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.done = true
	w.apart -= len(e.claimed)
	e.claimed = nil
	w.advance()
}

// front returns the first entry that is not complete, what has arrived of it from the
// beginning on, and whether chunks of it have overlapped; nil if nothing has arrived.
func (w *window) front() (e *arrival, at transfer.Checkpoint, mixed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 || w.pending[0].gone {
		return nil, at, false
	}
	e = w.pending[0]
	if n := e.got.prefix(); n > 0 {
		return e, transfer.Checkpoint{Index: e.Index, Offset: n, Size: e.Size, ModTime: e.ModTime}, e.mixed
	}
	return nil, at, false
}

// close takes no further data, waits for what is being taken, and closes the
// files.
func (w *window) close() {
	w.mu.Lock()
	w.over = true
	w.wake()
	w.mu.Unlock()
	w.writing.Wait()
	for _, e := range w.pending {
		if e != nil && e.file != nil {
			_ = e.file.Close() // may be closed already
		}
	}
}
