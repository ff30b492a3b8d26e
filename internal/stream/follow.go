package stream

import (
	"context"
	"errors"
	"io"
	"sort"
	"strconv"
	"time"

	"jetstream/internal/api"
)

// ErrSlow ends a follower that fell too far behind. It may come again with the
// last id that it has seen.
var ErrSlow = errors.New("the reader of the event stream is too slow")

const (
	pageEntries  = 512       // read from the store at a time
	maxBatch     = 256       // entries given out at a time
	maxBatchSize = 256 << 10 // bytes given out at a time, about
)

// Query says what a follower wants to see.
type Query struct {
	// User sees what is the user's own; All sees everything.
	User string
	All  bool
	// Since leaves out what was written before it, unless All; 0 leaves out
	// nothing.
	Since api.Time
	// Types selects entries; empty selects all.
	Types []string
	// After is the last id that the follower has seen; nil begins now.
	After *int64
}

// Follower reads the log from a place on. It belongs to one goroutine and must
// be closed.
type Follower struct {
	l     *Log
	q     Query
	types map[string]bool

	last   int64  // ID of the last stored entry that was passed
	pos    uint64 // the next in the ring, unless behind
	behind bool   // what comes next is no longer in the ring
	live   bool   // it has been up to date
	lost   bool   // what comes next is not kept any more
	closed bool
}

// Follow begins to read. Codes: invalid for an unknown type, tooManyRequests
// when too many follow, unavailable when the server stops.
func (l *Log) Follow(q Query) (*Follower, error) {
	if err := l.checkTypes(q.Types); err != nil {
		return nil, err
	}
	f := &Follower{l: l, q: q}
	if len(q.Types) > 0 {
		f.types = map[string]bool{}
		for _, t := range q.Types {
			f.types[t] = true
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, api.Errorf(api.CodeUnavailable, "the server is stopping")
	case l.followers >= l.o.MaxFollowers, l.byUser[q.User] >= max(1, l.o.MaxFollowers/2):
		e := api.Errorf(api.CodeTooManyRequests, "too many event streams are open (%d, %d of them by this user); close some and try again",
			l.followers, l.byUser[q.User])
		e.RetryAfter = 10 * time.Second
		return nil, e
	}
	l.count(f, 1)
	switch {
	case q.After == nil:
		f.last, f.pos = l.newest, l.next
	case *q.After > l.newest || *q.After < 0:
		f.lost = true // of another database
	default:
		f.last = *q.After
		f.locate()
	}
	return f, nil
}

// Followers is how many follow the log now.
func (l *Log) Followers() int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.followers
}

// count keeps the numbers of followers. mu is held.
func (l *Log) count(f *Follower, n int) {
	add := func(m map[string]int, key string) {
		if m[key] += n; m[key] == 0 {
			delete(m, key)
		}
	}
	l.followers += n
	add(l.byUser, f.q.User)
	if f.types == nil {
		l.all += n
	}
	for t := range f.types {
		add(l.byType, t)
	}
}

// Close ends the reading. A second Close does nothing.
func (f *Follower) Close() {
	if f.closed {
		return
	}
	f.closed = true
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	f.l.count(f, -1)
}

// Last is the id of the last stored entry that was passed, shown or not: what
// to go on after.
func (f *Follower) Last() int64 { return f.last }

// locate finds the place in the ring that goes on after last. mu is held.
func (f *Follower) locate() {
	l := f.l
	if f.behind = f.last < l.floor; f.behind {
		return
	}
	n := sort.Search(int(l.next-l.first), func(i int) bool { return l.at(l.first+uint64(i)).mark > f.last })
	f.pos = l.first + uint64(n)
}

// Next waits for what comes next and returns it as server-sent events, in
// order, several at a time. When entries are missing because they are not kept
// any more, the first is a reset. Errors: ctx's, io.EOF when the log has
// ended, ErrSlow, or the store's.
func (f *Follower) Next(ctx context.Context) ([][]byte, error) {
	for {
		if f.lost {
			return f.reset(ctx)
		}
		if f.behind {
			frames, err := f.catchUp(ctx)
			if err != nil || len(frames) > 0 {
				return frames, err
			}
			continue
		}
		entries, wait, err := f.take()
		if err != nil {
			return nil, err
		}
		if len(entries) > 0 {
			frames := make([][]byte, len(entries))
			for i, e := range entries {
				frames[i] = e.Frame()
			}
			return frames, nil
		}
		if wait == nil {
			continue
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take gets what the ring has next. Without anything to show, wait is closed
// when there is more, or nil when it is to be asked again at once.
func (f *Follower) take() (entries []*Entry, wait <-chan struct{}, err error) {
	l := f.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.pos < l.first {
		if f.locate(); f.behind {
			if f.live && l.newest-f.last > l.o.MaxLag {
				return nil, nil, ErrSlow
			}
			return nil, nil, nil
		}
	}
	size := 0
	for f.pos < l.next && len(entries) < maxBatch && size < maxBatchSize {
		e := l.at(f.pos)
		f.pos++
		if e.ID != 0 {
			if e.ID <= f.last { // read from the store before it was published
				continue
			}
			f.last = e.ID
		}
		if f.shows(e) {
			entries = append(entries, e)
			size += len(e.Data)
		}
	}
	if len(entries) > 0 || f.pos < l.next {
		return entries, nil, nil
	}
	f.live = true
	if l.closed {
		return nil, nil, io.EOF
	}
	l.waited = true
	return nil, l.changed, nil
}

func (f *Follower) shows(e *Entry) bool {
	if !f.q.All && (e.User == "" || e.User != f.q.User || e.Time < f.q.Since) {
		return false
	}
	return f.types == nil || f.types[e.Type]
}

// catchUp reads a page from the store.
func (f *Follower) catchUp(ctx context.Context) (frames [][]byte, err error) {
	page, err := f.l.o.Store.Entries(ctx, f.last, pageEntries)
	if err != nil {
		return nil, err
	}
	// IDs have no gaps but where the oldest were removed.
	if f.lost = len(page) == 0 || page[0].ID != f.last+1; f.lost {
		return nil, nil
	}
	size := 0
	for _, e := range page {
		if size >= maxBatchSize {
			break
		}
		f.last = e.ID
		if f.shows(e) {
			frames = append(frames, e.Frame())
			size += len(e.Data)
		}
	}
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	if f.live && f.l.newest-f.last > f.l.o.MaxLag {
		return nil, ErrSlow
	}
	f.locate()
	return frames, nil
}

// reset tells that entries are missing and goes on with what comes now.
func (f *Follower) reset(ctx context.Context) ([][]byte, error) {
	kept, err := f.l.o.Store.Entries(ctx, 0, 1)
	if err != nil {
		return nil, err
	}
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	f.lost, f.behind = false, false
	f.last, f.pos = f.l.newest, f.l.next
	oldest := f.last + 1
	if len(kept) > 0 {
		oldest = min(oldest, kept[0].ID)
	}
	e := newEntry(ResetType, f.q.User, []byte(`{"oldestId":`+strconv.FormatInt(oldest, 10)+`,"lastId":`+strconv.FormatInt(f.last, 10)+`}`))
	if f.last > 0 {
		return [][]byte{frameOf(f.last, e.Type, e.Data)}, nil
	}
	return [][]byte{frameOf(0, e.Type, e.Data)}, nil
}

// ResetType is the type of the event that tells a follower that what it asked
// to go on after is not kept any more: it must look at the present state and
// goes on from now (lastId), or asks again from before oldestId.
const ResetType = "reset"
