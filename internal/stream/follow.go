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

// ErrSlow is returned to a follower that is too far behind. It may follow again
// after the last id that it has seen.
var ErrSlow = errors.New("the reader of the event stream is too slow")

const (
	pageEntries  = 512       // read from the store at once
	maxBatch     = 256       // entries returned by one Next
	maxBatchSize = 256 << 10 // bytes returned by one Next, roughly
)

// Query selects the entries of a follower.
type Query struct {
	// User selects the entries of that user, All those of all users.
	User string
	All  bool
	// Since leaves out entries written before that time, unless All; 0: none.
	Since api.Time
	// Types selects entries of these types; empty: of all types.
	Types []string
	// After is the last id that the follower has seen; nil: begin with the next
	// entry.
	After *int64
}

// Follower reads the log from some entry on. It is for one goroutine and must
// be closed.
type Follower struct {
	l     *Log
	q     Query
	types map[string]bool

	last   int64  // ID of the last stored entry that was read, selected or not
	pos    uint64 // position of the next entry in the ring, unless behind
	behind bool   // the next entry is no longer in the ring
	live   bool   // it has been up to date at least once
	lost   bool   // the next entry is no longer stored
	closed bool
}

// Follow returns a follower of the log. Codes: invalid for an unknown type,
// tooManyRequests when there are too many followers, unavailable when the
// server stops.
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
		f.lost = true // an id of another database
	default:
		f.last = *q.After
		f.locate()
	}
	return f, nil
}

// Followers returns the number of followers.
func (l *Log) Followers() int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.followers
}

// count adds n to the numbers of followers. mu is held.
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

// Close removes the follower from the log. A second Close does nothing.
func (f *Follower) Close() {
	if f.closed {
		return
	}
	f.closed = true
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	f.l.count(f, -1)
}

// Last returns the id of the last stored entry that was read, selected or not:
// the After of a follower that continues here.
func (f *Follower) Last() int64 { return f.last }

// locate finds the entry after last in the ring. mu is held.
func (f *Follower) locate() {
	l := f.l
	if f.behind = f.last < l.floor; f.behind {
		return
	}
	n := sort.Search(int(l.next-l.first), func(i int) bool { return l.at(l.first+uint64(i)).mark > f.last })
	f.pos = l.first + uint64(n)
}

// Next waits for further entries and returns them as server-sent events, in
// order. If the next entries are no longer stored, it returns a reset event.
// Errors: those of ctx and of the store, io.EOF when the log is closed,
// ErrSlow.
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
		entries, wait, err := f.fromRing()
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

// fromRing returns the next entries of the ring that are selected. If there are
// none, wait is closed when there are further entries; it is nil if fromRing
// must be called again at once.
func (f *Follower) fromRing() (entries []*Entry, wait <-chan struct{}, err error) {
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
			if e.ID <= f.last { // it was read from the store before it was published
				continue
			}
			f.last = e.ID
		}
		if f.matches(e) {
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

func (f *Follower) matches(e *Entry) bool {
	if !f.q.All && (e.User == "" || e.User != f.q.User || e.Time < f.q.Since) {
		return false
	}
	return f.types == nil || f.types[e.Type]
}

// catchUp returns the next entries from the store.
func (f *Follower) catchUp(ctx context.Context) (frames [][]byte, err error) {
	page, err := f.l.o.Store.Entries(ctx, f.last, pageEntries)
	if err != nil {
		return nil, err
	}
	// A gap in the IDs is where the oldest entries were removed.
	if f.lost = len(page) == 0 || page[0].ID != f.last+1; f.lost {
		return nil, nil
	}
	size := 0
	for _, e := range page {
		if size >= maxBatchSize {
			break
		}
		f.last = e.ID
		if f.matches(e) {
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

// reset returns a reset event and continues with the entries from now on.
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

// ResetType is the type of the event that tells a follower that entries after
// the id that it asked for are no longer stored. It must read the present state
// anew. The stream continues after lastId; the oldest stored entry is oldestId.
const ResetType = "reset"
