package store

import (
	"context"
	"database/sql"
	"errors"
)

// Meta reads a fact about this server, "" when it is not there.
func (db *DB) Meta(ctx context.Context, name string) (string, error) {
	var v string
	err := db.readers.queryRow(ctx, "SELECT value FROM meta WHERE name = ?", name).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, err
}

const setMeta = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

// SetMeta keeps a fact about this server.
func (db *DB) SetMeta(ctx context.Context, name, value string) error {
	return db.update(ctx, func(t *tx) error {
		_, err := t.exec(setMeta, name, value)
		return err
	})
}
