package stream

import (
	"context"

	"jetstream/internal/api"
)

// maxScan is how many entries are read for one page at most. A page of a rare
// type therefore takes several short reads, not a long one.
const maxScan = 50_000

// PageQuery selects one page of the stored entries, newest first.
type PageQuery struct {
	// User selects the entries of that user, All those of all users.
	User string
	All  bool
	// Types selects entries of these types; empty: of all types.
	Types []string
	// Since leaves out entries written before that time; 0: none.
	Since api.Time
	// Before selects entries with a lower ID; 0: all.
	Before int64
	Limit  int
}

// Pager is what Page needs of the database.
type Pager interface {
	// EntryPage lists the entries that q selects and for which from <= ID <
	// before, newest first. q.Before is ignored.
	EntryPage(ctx context.Context, q PageQuery, from, before int64) ([]*Entry, error)
	// Oldest returns the ID of the oldest stored entry, and the time of the
	// first entry at or after from; 0 if there is none.
	Oldest(ctx context.Context, from int64) (id int64, written api.Time, err error)
}

// Page lists stored entries, newest first. next is the Before of the next page,
// 0 at the end. A page before the end may hold fewer entries than the limit.
// Codes: invalid for an unknown type.
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
	from := max(1, before-maxScan)
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
	// Entries are ordered by time, unless the clock was set back: there is no
	// need to read on below one that was written before Since.
	if _, written, err := l.o.Store.Oldest(ctx, from); err != nil || written < q.Since {
		return list, 0, err
	}
	return list, from, nil
}
