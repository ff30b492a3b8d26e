package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"jetstream/internal/api"
	"jetstream/internal/stream"
)

// EntryPage implements stream.Pager.
func (s *Entries) EntryPage(ctx context.Context, q stream.PageQuery, from, before int64) ([]*stream.Entry, error) {
	types, err := idList(q.Types)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.settled().QueryContext(ctx, `SELECT id, type, time, user, data FROM entries
		WHERE id >= ? AND id < ? AND time >= ? AND (? OR user = ? AND user <> '')
		AND (? OR type IN (SELECT value FROM json_each(?))) ORDER BY id DESC LIMIT ?`,
		from, before, int64(q.Since), q.All, q.User, len(q.Types) == 0, types, q.Limit)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(row scanner) (*stream.Entry, error) {
		e, data := &stream.Entry{}, ""
		err := row.Scan(&e.ID, &e.Type, &e.Time, &e.User, &data)
		e.Data = json.RawMessage(data)
		return e, err
	})
}

// Oldest implements stream.Pager.
func (s *Entries) Oldest(ctx context.Context, from int64) (id int64, written api.Time, err error) {
	err = s.db.settled().QueryRowContext(ctx, "SELECT id, time FROM entries WHERE id >= ? ORDER BY id LIMIT 1", from).Scan(&id, &written)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	}
	return id, written, err
}
