package sender

import (
	"context"
	"os"
	"sync"
	"time"

	"jetstream/internal/transfer"
)

const (
	// sentAtOnce and sentEvery are after how many files, and how long after the last
	// save, it is saved in which state the files were read.
	sentAtOnce = 1000
	sentEvery  = time.Second
)

// sentSources records in which state the sources of a transfer were read that are to be
// removed at its end. What is not recorded when the server ends is not removed. Of one
// that is nil methods do nothing. Safe for concurrent use.
type sentSources struct {
	a *attempt
	// begun is the state of the file that is resumed, when its beginning was read; nil
	// if that is not known.
	begun *transfer.SentSource

	mu    sync.Mutex
	list  []transfer.SentSource
	saved time.Time
	// compared are files of which the receiver knows the digest, until it has answered.
	compared map[int64]transfer.FileState
}

// recordSent starts to record what is sent from an entry on; nil if nothing is to be
// removed. What was recorded of these entries is forgotten: the receiver decides anew
// about them.
func (a *attempt) recordSent(ctx context.Context, from int64) (*sentSources, error) {
	if !a.t.DeleteSource {
		return nil, nil //nolint:nilnil // nothing is recorded
	}
	begun, err := a.s.o.Engine.DropSent(ctx, &a.t, from)
	if err != nil {
		return nil, err
	}
	return &sentSources{a: a, begun: begun, saved: time.Now(), compared: map[int64]transfer.FileState{}}, nil
}

// opened records the state of a file before the first data of a version are read. If it
// is later the same, all that was read in between was the same too.
func (s *sentSources) opened(f *source, file *os.File) {
	if s != nil {
		f.recorded.Do(func() { s.record(f, file) })
	}
}

// record is opened for the lane that is the first.
func (s *sentSources) record(f *source, file *os.File) {
	fi, err := file.Stat()
	if err != nil {
		return
	}
	state, ok := transfer.StateBeforeReading(fi)
	if !ok || f.resumed && (s.begun == nil || s.begun.FileState != state) {
		return
	}
	s.add(f.Index, state)
}

// comparing keeps the state of a file before its digest is computed.
func (s *sentSources) comparing(index int64, file *os.File) {
	if s == nil {
		return
	}
	fi, err := file.Stat()
	if err != nil {
		return
	}
	if state, ok := transfer.StateBeforeReading(fi); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.compared[index] = state
	}
}

// answered takes what the receiver has decided about a page: files that it skips because
// of their digests are recorded, also empty ones, and so are empty ones that it wants.
// empty has the states of the empty files.
func (s *sentSources) answered(files []transfer.ManifestFile, skip map[int64]bool, empty map[int64]transfer.FileState) {
	if s == nil {
		return
	}
	for i := range files {
		f := &files[i]
		s.mu.Lock()
		state, known := s.compared[f.Index]
		delete(s.compared, f.Index)
		s.mu.Unlock()
		if !known {
			state, known = empty[f.Index]
			known = known && (!skip[f.Index] || s.a.t.Checksum)
		} else {
			known = skip[f.Index]
		}
		// What a server has that sends to itself may be the source.
		if known && !(skip[f.Index] && s.a.t.PublicKey == s.a.s.o.Identity.PublicKey()) {
			s.add(f.Index, state)
		}
	}
}

func (s *sentSources) add(index int64, state transfer.FileState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, transfer.SentSource{Index: index, FileState: state})
	if len(s.list) >= sentAtOnce || time.Since(s.saved) >= sentEvery {
		s.save()
	}
}

// flush saves what is not saved yet.
func (s *sentSources) flush() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.save()
}

// save is flush. mu is held.
func (s *sentSources) save() {
	if len(s.list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	if err := s.a.s.o.Engine.SaveSent(ctx, &s.a.t, s.list); err != nil {
		s.a.s.log.Warn("the state of sources was not saved, so that they are kept", "transferId", s.a.t.TransferID, "files", len(s.list), "error", err)
	}
	s.list, s.saved = s.list[:0], time.Now()
}
