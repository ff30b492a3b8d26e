package receiver

import (
	"context"
	"os"
	"slices"
	"sync"

	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/wire"
)

// comparer decides by digests which files need not be sent. It takes the pages of the
// list in order, and does not hold up the messages that come meanwhile. Of one that
// is nil only len and answered may be called. Safe for concurrent use.
type comparer struct {
	s *session

	mu      sync.Mutex
	changed chan struct{} // holds a token after add and answered
	pages   [][]*arrival  // that are not decided, in order
	entries int           // in pages
	asked   []*arrival    // whose digests the sender owes, in order
}

// maxDigest is how long the text of a digest may be.
const maxDigest = 128

// startComparing starts the comparer, if the transfer has one, until stop.
func (s *session) startComparing(ctx context.Context) (stop func()) {
	if !s.intake.settings.Checksum {
		return func() {}
	}
	c := &comparer{s: s, changed: make(chan struct{}, 1)}
	s.intake.compares = c
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.run(ctx); ctx.Err() == nil {
			s.fail(err)
		}
	}()
	return func() { cancel(); <-ended }
}

// len returns how many entries are not decided.
func (c *comparer) len() int {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries
}

// add takes a page and asks the sender for the digests of its files that may be the
// same.
func (c *comparer) add(page []*arrival) error {
	if len(page) == 0 {
		return &wire.ProtocolError{Reason: "a page of the file list is empty"}
	}
	var ask []*arrival
	for _, a := range page {
		if a.there != nil {
			ask = append(ask, a)
		}
	}
	c.mu.Lock()
	c.pages, c.asked = append(c.pages, page), append(c.asked, ask...)
	c.entries += len(page)
	c.mu.Unlock()
	c.signal()
	for part := range slices.Chunk(ask, wire.MaxCompare) {
		message := wire.Compare{Algorithm: string(c.s.r.o.Digest)}
		for _, a := range part {
			message.Indices = append(message.Indices, a.Index)
		}
		if err := c.s.conn.Send(wire.TypeCompare, message); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparer) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// answered takes digests of the sender.
func (c *comparer) answered(digests []string) error {
	tooMany := &wire.ProtocolError{Reason: "the sender tells digests that it was not asked for"}
	if c == nil {
		return tooMany
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(digests) > len(c.asked) {
		return tooMany
	}
	for i, d := range digests {
		if len(d) > maxDigest {
			return &wire.ProtocolError{Reason: "the sender tells a digest that is none"}
		}
		c.asked[i].theirs = d
	}
	c.asked = c.asked[len(digests):]
	c.signal()
	return nil
}

// run decides page after page until ctx ends, and returns why it ends.
func (c *comparer) run(ctx context.Context) error {
	for {
		var page []*arrival
		err := c.wait(ctx, func() bool {
			if len(c.pages) == 0 {
				return false
			}
			page = c.pages[0]
			return true
		})
		if err != nil {
			return err
		}
		if err := c.decide(ctx, page); err != nil {
			return err
		}
		// The sender goes on with the page when it gets the Skip.
		if err := c.s.take(page); err != nil {
			return err
		}
		c.mu.Lock()
		c.pages, c.entries = c.pages[1:], c.entries-len(page)
		c.mu.Unlock()
		if err := c.s.conn.Send(wire.TypeSkip, skipOf(page[0].Index, page)); err != nil {
			return err
		}
	}
}

// wait waits until ok, which is called with mu held.
func (c *comparer) wait(ctx context.Context, ok func() bool) error {
	for {
		c.mu.Lock()
		done := ok()
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// decide skips the files of a page that are the same at both ends.
func (c *comparer) decide(ctx context.Context, page []*arrival) error {
	own := make(map[*arrival]string)
	var last *arrival
	for _, a := range page {
		if a.there == nil {
			continue
		}
		last = a
		if own[a] = c.s.ownDigest(ctx, a); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if last == nil {
		return nil
	}
	err := c.wait(ctx, func() bool { return len(c.asked) == 0 || c.asked[0].Index > last.Index })
	if err != nil {
		return err
	}
	for a, sum := range own {
		a.Skipped = sum != "" && sum == a.theirs
		a.theirs = ""
		a.there = nil
	}
	return nil
}

// ownDigest returns the digest of the file that an entry may be the same as; "" if it
// cannot be read, or is no longer that file.
func (s *session) ownDigest(ctx context.Context, a *arrival) string {
	rel, err := s.box.Resolve(s.place.path(a.Name), false)
	if err != nil {
		return ""
	}
	file, err := s.box.Root.OpenFile(rel, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return ""
	}
	defer file.Close()
	if now, err := file.Stat(); err != nil || !os.SameFile(now, a.there) {
		return ""
	}
	sum, err := digest.OfSize(ctx, s.r.o.Digest, file, a.Size)
	if err != nil {
		return ""
	}
	return sum
}
