package sender

import (
	"context"
	"errors"
	"slices"
	"sync"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/wire"
)

// maxInbox is how many answers, and entries in them, the receiver may send before
// they are taken. It is asked about some 8,000 entries at a time.
const maxInbox = 32 << 10

// maxAlgorithm is how long the name of an algorithm of digests may be.
const maxAlgorithm = 32

// inbox keeps answers of the receiver until they are taken, so that its connection is
// read on. It is for one goroutine that takes.
type inbox[T any] struct {
	mu     sync.Mutex
	list   []T
	weight []int
	total  int
	some   chan struct{}
}

func newInbox[T any]() *inbox[T] { return &inbox[T]{some: make(chan struct{}, 1)} }

// put adds an answer about some entries, and reports whether there is room for it.
func (b *inbox[T]) put(answer T, entries int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total += entries + 1; b.total > maxInbox {
		return false
	}
	b.list, b.weight = append(b.list, answer), append(b.weight, entries+1)
	select {
	case b.some <- struct{}{}:
	default:
	}
	return true
}

// take waits for the next answer.
func (b *inbox[T]) take(ctx context.Context) (next T, err error) {
	for {
		b.mu.Lock()
		if len(b.list) > 0 {
			next = b.list[0]
			b.total -= b.weight[0]
			b.list, b.weight = b.list[1:], b.weight[1:]
			b.mu.Unlock()
			return next, nil
		}
		b.mu.Unlock()
		select {
		case <-b.some:
		case <-ctx.Done():
			return next, context.Cause(ctx)
		}
	}
}

// put returns an error if an answer had no room.
func (s *stream) put(ok bool) error {
	if ok {
		return nil
	}
	return s.a.broken("it answers more than it was asked")
}

// asked takes a Compare.
func (s *stream) asked(h wire.Header, payload []byte) error {
	if !s.a.t.Checksum {
		return s.a.unexpectedFrame(h)
	}
	var c wire.Compare
	if err := wire.Decode(payload, &c); err != nil {
		return err
	}
	n := len(c.Indices)
	if n == 0 || n > wire.MaxCompare || len(c.Algorithm) > maxAlgorithm {
		return s.a.broken("it asks for the digests of %d entries", n)
	}
	return s.put(s.compares.put(c, n))
}

// compare computes the digests that the receiver asks for, until ctx ends. An error
// ends the stream.
func (s *stream) compare(ctx context.Context) {
	opener := s.sources.Opener()
	defer opener.Close()
	for next := int64(0); ; {
		c, err := s.compares.take(ctx)
		if err == nil {
			next, err = s.answer(ctx, opener, c, next)
		}
		if err != nil {
			s.cancel(err)
			return
		}
	}
}

// answer answers a Compare, whose entries must not lie before next, and returns the
// index behind them.
func (s *stream) answer(ctx context.Context, opener *transfer.Opener, c wire.Compare, next int64) (int64, error) {
	algorithm, err := digest.Parse(c.Algorithm)
	if err != nil {
		return 0, s.a.broken("it wants to compare by a digest that is not known: %s", api.Quote(wire.Clean(c.Algorithm)))
	}
	if len(c.Indices) == 0 {
		return next, nil
	}
	first, last := c.Indices[0], c.Indices[len(c.Indices)-1]
	if first < next || last < first || last-first >= wire.MaxCompare || last >= s.listed.Load() {
		return 0, s.a.broken("it wants to compare the entries %d to %d, which it was not asked about", first, last)
	}
	files, err := s.a.loadFiles(ctx, first, int(last-first)+1)
	if err != nil {
		return 0, err
	}
	sums := make([]string, 0, len(c.Indices))
	for _, i := range c.Indices {
		at, found := slices.BinarySearchFunc(files, i, func(f transfer.ManifestFile, i int64) int { return int(f.Index - i) })
		if i < next || !found || files[at].Dir {
			return 0, s.a.broken("it wants to compare entry %d, which is no file that it was asked about", i)
		}
		next = i + 1
		sum, err := s.sumOf(ctx, opener, algorithm, files[at])
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if err != nil { // its lane finds out when it is sent
			sum = ""
		}
		sums = append(sums, sum)
	}
	return next, s.control(wire.TypeDigests, wire.Digests{Digests: sums})
}

// sumOf returns the digest of a source that is as the manifest says.
func (s *stream) sumOf(ctx context.Context, opener *transfer.Opener, algorithm digest.Algorithm, f transfer.ManifestFile) (string, error) {
	file, err := opener.Open(f)
	if err != nil {
		return "", err
	}
	defer file.Close()
	s.sent.comparing(f.Index, file)
	sum, err := digest.OfSize(ctx, algorithm, file, f.Size)
	if err != nil {
		return "", err
	}
	if after, err := file.Stat(); err != nil || !transfer.Unchanged(f, after) {
		return "", errChanged
	}
	return sum, nil
}

// loadFiles returns entries of the manifest.
func (a *attempt) loadFiles(ctx context.Context, from int64, limit int) ([]transfer.ManifestFile, error) {
	files, err := a.s.o.Engine.LoadManifestFiles(ctx, a.t.ManifestID, from, limit)
	if errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		err = failf(err, true, "the manifest of the transfer was deleted")
	}
	return files, err
}
