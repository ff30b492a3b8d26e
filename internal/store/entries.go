package store

import (
	"context"
	"database/sql"
	"encoding/json"
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

// AppendEntry implements stream.Tx.
func (t *tx) AppendEntry(e *stream.Entry) error {
	t.entries = append(t.entries, e)
	return nil
}

const (
	entryValues = "(?,?,?,?,?)"
	insertEntry = "INSERT INTO entries (id, type, time, user, data) VALUES " + entryValues
	insertLoose = insertEntry + " ON CONFLICT (id) DO NOTHING"
)

// entryColumns is how many values entryFields tells, and id.
const entryColumns = 5

func entryFields(f fields, e *stream.Entry) {
	f.text(e.Type)
	f.number(int64(e.Time))
	f.text(e.User)
	f.bytes(e.Data)
}

// saveEntries writes the entries of a batch of updates before it is committed.
func (b *batch) saveEntries(entries []*stream.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	rows := make([][]any, len(entries))
	for i, e := range entries {
		row := append(make(valueList, 0, entryColumns), b.number(&b.lastEntry))
		entryFields(&row, e)
		rows[i] = row
	}
	last, err := b.db.insert(entriesTable, rows)
	if err != nil {
		return err
	}
	for i, e := range entries {
		e.ID = last - int64(len(entries)-1-i)
	}
	return nil
}

// Update implements stream.Store.
func (s *Entries) Update(ctx context.Context, fn func(stream.Tx) error) error {
	return s.db.update(ctx, func(t *tx) error { return fn(t) })
}

// Entries implements stream.Store.
func (s *Entries) Entries(ctx context.Context, after int64, limit int) (page []*stream.Entry, err error) {
	// What is marked later may be in the tables before what only the journal has.
	newest, err := s.Newest(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.settled().QueryContext(ctx, "SELECT id, type, time, user, data FROM entries WHERE id > ? AND id <= ? ORDER BY id LIMIT ?", after, newest, limit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		e, data := &stream.Entry{}, ""
		if err := rows.Scan(&e.ID, &e.Type, &e.Time, &e.User, &data); err != nil {
			return nil, err
		}
		e.Data = json.RawMessage(data)
		page = append(page, e)
	}
	return page, rows.Err()
}

// Newest implements stream.Store.
func (s *Entries) Newest(ctx context.Context) (id int64, err error) {
	err = s.db.settled().QueryRowContext(ctx, "SELECT seq FROM sqlite_sequence WHERE name = 'entries'").Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
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
	if err := s.db.settled().QueryRowContext(ctx, "SELECT min(id) FROM entries").Scan(&oldest); err != nil || !oldest.Valid {
		return false, err
	}
	err = s.db.settled().QueryRowContext(ctx, `SELECT id FROM entries WHERE id > ? AND (time >= ? OR id >= ?) ORDER BY id LIMIT 1`,
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
	err = s.db.updateLax(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM entries WHERE id <= ?", last)
		return err
	})
	return err == nil && last == oldest.Int64+int64(limit)-1, err
}
