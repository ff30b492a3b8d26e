package store

import (
	"context"
	"database/sql"
	"errors"

	"jetstream/internal/api"
	"jetstream/internal/stream"
)

// Entries is the database as the log of what happened sees it. It implements
// stream.Store.
type Entries struct{ db *DB }

// Entries returns the view of the log.
func (db *DB) Entries() *Entries { return &Entries{db} }

var _ stream.Store = (*Entries)(nil)

const (
	insertEntry        = "INSERT INTO entries (type, time, user, data) VALUES ROWS"
	insertEntryColumns = 4
)

// insertEntries writes entries in their order and sets their IDs.
func (w *writer) insertEntries(entries []*stream.Entry) error {
	last, err := insertMany(w.exec, &w.entryInserts, entries, func(row []any, e *stream.Entry) []any {
		return append(row, e.Type, int64(e.Time), e.User, string(e.Data))
	})
	if err != nil {
		return err
	}
	for i, e := range entries {
		e.ID = last - int64(len(entries)-1-i)
	}
	return nil
}

const selectEntry = "SELECT id, type, time, user, data FROM entries "

func scanEntry(row scanner) (*stream.Entry, error) {
	e := &stream.Entry{}
	return e, row.Scan(&e.ID, &e.Type, &e.Time, &e.User, (*[]byte)(&e.Data))
}

// Update implements stream.Store.
func (s *Entries) Update(ctx context.Context, fn func(stream.Tx) error) error {
	return s.db.update(ctx, func(t *tx) error { return fn(t) })
}

// Entries implements stream.Store.
func (s *Entries) Entries(ctx context.Context, after int64, limit int) ([]*stream.Entry, error) {
	rows, err := s.db.readers.query(ctx, selectEntry+"WHERE id > ? ORDER BY id LIMIT ?", after, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, scanEntry)
}

// Newest implements stream.Store.
func (s *Entries) Newest(ctx context.Context) (id int64, err error) {
	err = s.db.readers.queryRow(ctx, "SELECT seq FROM sqlite_sequence WHERE name = 'entries'").Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

// EntryPage implements stream.Pager.
func (s *Entries) EntryPage(ctx context.Context, q stream.PageQuery, from, before int64) ([]*stream.Entry, error) {
	types, err := idList(q.Types)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.readers.query(ctx, selectEntry+`WHERE id >= ? AND id < ? AND time >= ? AND (? OR user = ? AND user <> '')
		AND (? OR type IN (SELECT value FROM json_each(?))) ORDER BY id DESC LIMIT ?`,
		from, before, int64(q.Since), q.All, q.User, len(q.Types) == 0, types, q.Limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, scanEntry)
}

// Oldest implements stream.Pager.
func (s *Entries) Oldest(ctx context.Context, from int64) (id int64, written api.Time, err error) {
	err = s.db.readers.queryRow(ctx, "SELECT id, time FROM entries WHERE id >= ? ORDER BY id LIMIT 1", from).Scan(&id, &written)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	}
	return id, written, err
}

// Prune implements stream.Store.
func (s *Entries) Prune(ctx context.Context, before api.Time, keep int64, limit int) (more bool, err error) {
	// Read first: nothing is written when all may stay. The walk from the
	// oldest ends at the first that may.
	var oldest, stays sql.NullInt64
	newest, err := s.Newest(ctx)
	if err != nil {
		return false, err
	}
	if err := s.db.readers.queryRow(ctx, "SELECT min(id) FROM entries").Scan(&oldest); err != nil || !oldest.Valid {
		return false, err
	}
	err = s.db.readers.queryRow(ctx, `SELECT id FROM entries WHERE id > ? AND (time >= ? OR id >= ?) ORDER BY id LIMIT 1`,
		newest-keep, int64(before), oldest.Int64+int64(limit)).Scan(&stays)
	first := newest + 1
	if err == nil {
		first = stays.Int64
	} else if !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	last := min(first-1, oldest.Int64+int64(limit)-1)
	if last < oldest.Int64 {
		return false, nil
	}
	err = s.db.updateNoSync(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM entries WHERE id <= ?", last)
		return err
	})
	return err == nil && last == oldest.Int64+int64(limit)-1, err
}
