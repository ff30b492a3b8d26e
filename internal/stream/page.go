package stream

import (
	"context"

	"jetstream/internal/api"
)

// scanned is how many entries one page looks through at most, so that a rare
// type or a user with few entries costs many short reads, not a long one.
const scanned = 50_000

// PageQuery selects one page of the stored entries, newest first.
type PageQuery struct {
	// User sees what is the user's own; All sees everything.
	User string
	All  bool
	// Types selects entries; empty selects all.
	Types []string
	// Since leaves out what was written before it; 0 leaves out nothing.
	Since api.Time
	// Before is the ID that the page goes on from, downwards; 0: the newest.
	Before int64
	Limit  int
}

// Pager is what pages of the log need of the database.
type Pager interface {
	// EntryPage lists, newest first, the entries that q selects with from <= ID
	// < before; q.Before does not count.
	EntryPage(ctx context.Context, q PageQuery, from, before int64) ([]*Entry, error)
	// Oldest is the ID of the oldest entry that is kept and when the first at
	// or after an ID was written; 0 when there is none.
	Oldest(ctx context.Context, from int64) (id int64, written api.Time, err error)
}

// Page lists stored entries. next is what to go on from, 0 at the end; a page
// may hold fewer entries than the limit and yet have a next. Codes: invalid
// for an unknown type.
func (l *Log) Page(ctx context.Context, q PageQuery) (list []*Entry, next int64, err error) {
	if err := l.checkTypes(q.Types); err != nil {
		return nil, 0, err
	}
	before := q.Before
	if before == 0 {
		newest, err := l.o.Store.Newest(ctx)
		if err != nil {
			return nil, 0, err
		}
		before = newest + 1
	}
	from := max(1, before-scanned)
	list, err = l.o.Store.EntryPage(ctx, q, from, before)
	if err != nil {
		return nil, 0, err
	}
	if len(list) == q.Limit {
		from = list[len(list)-1].ID
	}
	oldest, _, err := l.o.Store.Oldest(ctx, 0)
	if err != nil || oldest == 0 || oldest >= from {
		return list, 0, err
	}
	// Entries are written in the order of their times, but for a clock that was
	// set back: what lies below one from before Since is not asked for.
	if _, written, err := l.o.Store.Oldest(ctx, from); err != nil || written < q.Since {
		return list, 0, err
	}
	return list, from, nil
}
