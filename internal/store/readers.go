package store

import (
	"context"
	"errors"

	"jetstream/internal/store/lite"
)

// readers are the connections that only read, for constant queries.
type readers struct{ lite *lite.Pool }

// QueryContext lists the rows of a constant query.
func (r *readers) QueryContext(ctx context.Context, query string, args ...any) (*lite.Rows, error) {
	return r.lite.Query(ctx, query, args...)
}

// QueryRowContext finds the one row of a constant query. What finds one is too
// short to be worth a watch over ctx.
func (r *readers) QueryRowContext(ctx context.Context, query string, args ...any) scanner {
	return r.lite.QueryRow(ctx, query, args...)
}

// Close closes all connections.
func (r *readers) Close() error { return r.lite.Close() }

// settledReaders find everything that has been committed, also where only the
// journal has it yet: for whoever reads runs or entries.
type settledReaders struct{ db *DB }

func (db *DB) settled() settledReaders { return settledReaders{db} }

// QueryContext is that of readers.
func (s settledReaders) QueryContext(ctx context.Context, query string, args ...any) (*lite.Rows, error) {
	if err := s.db.settle(ctx); err != nil {
		return nil, err
	}
	return s.db.readers.QueryContext(ctx, query, args...)
}

// QueryRowContext is that of readers.
func (s settledReaders) QueryRowContext(ctx context.Context, query string, args ...any) scanner {
	if err := s.db.settle(ctx); err != nil {
		return unread{err}
	}
	return s.db.readers.QueryRowContext(ctx, query, args...)
}

// unread is a row that could not be asked for.
type unread struct{ err error }

func (u unread) Scan(...any) error { return u.err }

// rows are what a query of the readers or of a transaction has found.
type rows interface {
	scanner
	Next() bool
	Err() error
	Close() error
}

// collect reads all rows and closes them.
func collect[T any](rows rows, scan func(scanner) (T, error)) ([]T, error) {
	return collectMost(rows, 0, scan)
}

// maxRoom bounds the room that collectMost makes in advance.
const maxRoom = 128

// collectMost is collect for about most rows: it makes room for them at once.
func collectMost[T any](rows rows, most int, scan func(scanner) (T, error)) (list []T, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		if list == nil {
			list = make([]T, 0, min(most, maxRoom))
		}
		list = append(list, v)
	}
	return list, rows.Err()
}
