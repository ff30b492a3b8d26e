package stream

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"jetstream/internal/api"
)

// Tx is what the log needs of a database transaction.
type Tx interface {
	// AppendEntry saves an entry and sets its ID to the next number, at the end
	// of the transaction. A transaction that fails uses up no numbers.
	AppendEntry(*Entry) error
	// AfterCommit calls f once the transaction is durable, and never if it
	// fails. The calls are made one after another, in the order of the commits.
	AfterCommit(f func())
}

// Store is what the log needs of the database.
type Store interface {
	// Update runs fn in one transaction that is on disk when it returns.
	Update(ctx context.Context, fn func(Tx) error) error
	// Entries lists the stored entries with an ID above after, in order, limit
	// at most.
	Entries(ctx context.Context, after int64, limit int) ([]*Entry, error)
	// Newest returns the ID of the last entry that was written, removed or not;
	// 0 if there was none.
	Newest(ctx context.Context) (int64, error)
	// Prune removes the entries that were written before a time and all but the
	// newest keep, oldest first and limit at most; more reports whether it
	// stopped at the limit.
	Prune(ctx context.Context, before api.Time, keep int64, limit int) (more bool, err error)
	Pager
}

// The defaults of Options.
const (
	DefaultKeep         = 7 * 24 * time.Hour
	DefaultKeepEntries  = 2_000_000
	DefaultRing         = 4096
	DefaultMaxLag       = 65_536
	DefaultMaxFollowers = 2048
)

const (
	maxRingBytes = 8 << 20
	pruneEvery   = time.Hour
	pruneBatch   = 5000
)

// Options configure a Log.
type Options struct {
	// Store keeps the entries. Required.
	Store Store
	// Types are the types that followers may select. Empty: any.
	Types []string
	// Keep is how long entries are kept; 0 is 7 days.
	Keep time.Duration
	// KeepEntries is how many entries are kept at most, which bounds the disk
	// space; 0 is 2,000,000.
	KeepEntries int64
	// Ring is how many recent entries are kept in memory for followers (8 MiB
	// at most); 0 is 4096.
	Ring int
	// MaxLag is how many entries a follower that has been up to date may be
	// behind before it gets ErrSlow; 0 is 65,536.
	MaxLag int64
	// MaxFollowers is how many followers there may be, and half of it for one
	// user; 0 is 2048.
	MaxFollowers int
	// Log is for the operator; nil discards it.
	Log *slog.Logger
}

// Log is the event log. Safe for concurrent use. A nil Log discards all
// entries.
type Log struct {
	o Options

	mu      sync.Mutex
	ring    []*Entry      // the entry at position p is ring[p%len(ring)]
	first   uint64        // position of the oldest entry in the ring
	next    uint64        // position of the next entry
	bytes   int           // size of the entries in the ring
	newest  int64         // ID of the last stored entry
	floor   int64         // all stored entries above it are in the ring
	changed chan struct{} // closed when there is a new entry
	waited  bool          // a follower waits on changed
	closed  bool

	followers int
	byUser    map[string]int
	all       int            // followers without a filter of types
	byType    map[string]int // followers that name a type
}

// New opens the log and loads the recent entries from the store.
func New(ctx context.Context, o Options) (*Log, error) {
	if o.Store == nil {
		return nil, api.Errorf(api.CodeInternal, "the event log needs a store")
	}
	o.Keep = cmp.Or(o.Keep, DefaultKeep)
	o.KeepEntries = cmp.Or(o.KeepEntries, DefaultKeepEntries)
	o.Ring = cmp.Or(o.Ring, DefaultRing)
	o.MaxLag = cmp.Or(o.MaxLag, DefaultMaxLag)
	o.MaxFollowers = cmp.Or(o.MaxFollowers, DefaultMaxFollowers)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{
		o: o, ring: make([]*Entry, o.Ring), changed: make(chan struct{}), byUser: map[string]int{}, byType: map[string]int{},
	}
	newest, err := o.Store.Newest(ctx)
	if err != nil {
		return nil, api.Wrap(err, api.CodeInternal, "the event log could not be read")
	}
	l.floor = max(0, newest-int64(o.Ring))
	recent, err := o.Store.Entries(ctx, l.floor, o.Ring)
	if err != nil {
		return nil, api.Wrap(err, api.CodeInternal, "the event log could not be read")
	}
	l.newest = newest
	if len(recent) == 0 {
		l.floor = newest
	} else {
		l.floor = recent[0].ID - 1
	}
	for _, e := range recent {
		l.push(e)
	}
	return l, nil
}

// Serve removes old entries until ctx ends.
func (l *Log) Serve(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		l.prune(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *Log) prune(ctx context.Context) {
	before := api.TimeOf(time.Now().Add(-l.o.Keep))
	for {
		more, err := l.o.Store.Prune(ctx, before, l.o.KeepEntries, pruneBatch)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.o.Log.Error("old entries of the event log could not be removed; trying again in an hour", "error", err)
			return
		}
		if !more {
			return
		}
	}
}

// Append writes an entry in the caller's transaction. Its data is time, user
// and the members of data, a JSON object. An error must fail the transaction.
// Followers get the entry once it is on disk.
func (l *Log) Append(tx Tx, typ, user string, data json.RawMessage) error {
	if l == nil {
		return nil
	}
	return l.AppendEntry(tx, newEntry(typ, user, data))
}

// AppendEntry writes an entry that was made before; see Append.
func (l *Log) AppendEntry(tx Tx, e *Entry) error {
	if err := tx.AppendEntry(e); err != nil {
		return err
	}
	tx.AfterCommit(func() { l.publish(e) })
	return nil
}

// Update runs fn in a transaction of its own, for entries that belong to no
// other change.
func (l *Log) Update(ctx context.Context, fn func(Tx) error) error {
	if l == nil {
		return nil
	}
	return l.o.Store.Update(ctx, fn)
}

// Followed reports whether there are followers of entries of the type. Without
// them live entries need not be made.
func (l *Log) Followed(typ string) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all > 0 || l.byType[typ] > 0
}

// Close ends the event stream: followers get the remaining entries, then
// io.EOF. Entries can still be appended.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wake()
}

// publish delivers a stored entry. It is called in the order of the IDs.
func (l *Log) publish(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newest = e.ID
	l.push(e)
	l.wake()
}

func (l *Log) publishLive(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.mark = l.newest
	l.push(e)
	l.wake()
}

// push adds an entry to the ring and drops the oldest ones if it is full. mu is
// held.
func (l *Log) push(e *Entry) {
	if e.ID != 0 {
		e.mark = e.ID
	}
	for l.next-l.first == uint64(len(l.ring)) || l.next > l.first && l.bytes+e.size() > maxRingBytes {
		slot := &l.ring[l.first%uint64(len(l.ring))]
		l.bytes -= (*slot).size()
		if (*slot).ID != 0 {
			l.floor = (*slot).ID
		}
		*slot = nil
		l.first++
	}
	l.ring[l.next%uint64(len(l.ring))] = e
	l.bytes += e.size()
	l.next++
}

// wake wakes the followers that wait, if any. mu is held.
func (l *Log) wake() {
	if l.waited {
		close(l.changed)
		l.changed, l.waited = make(chan struct{}), false
	}
}

// at returns the entry at a position in the ring. mu is held.
func (l *Log) at(pos uint64) *Entry { return l.ring[pos%uint64(len(l.ring))] }

// checkTypes refuses unknown types.
func (l *Log) checkTypes(types []string) error {
	if len(l.o.Types) == 0 {
		return nil
	}
	for _, t := range types {
		if slices.Contains(l.o.Types, t) {
			continue
		}
		hint := "there are " + strings.Join(l.o.Types, ", ")
		if near := api.Nearest(t, l.o.Types); near != "" {
			hint = "did you mean " + near + "?"
		}
		return api.InvalidField("types", "oneof", "there is no event type "+api.Quote(t)+"; "+hint)
	}
	return nil
}
