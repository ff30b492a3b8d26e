package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// maxReaders is how many connections read.
const maxReaders = 8

// readers are the connections that only read. They find what was committed when
// their query began, and never wait for the writer. Queries are constants, so
// that they can be kept prepared.
type readers struct {
	pool *sql.DB

	mu       sync.RWMutex
	prepared map[string]*sql.Stmt
}

// openReaders opens all connections at once. One that was opened later could find
// no descriptor left, or another file at that path.
func openReaders(ctx context.Context, uri string) (*readers, error) {
	pool, err := sql.Open("sqlite", uri+"&_pragma=query_only(1)")
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(maxReaders)
	pool.SetMaxIdleConns(maxReaders)
	opened := make([]*sql.Conn, 0, maxReaders)
	for range maxReaders {
		conn, openErr := pool.Conn(ctx)
		if openErr == nil {
			opened = append(opened, conn)
			// The first query opens the WAL.
			_, openErr = conn.ExecContext(ctx, "SELECT 1 FROM sqlite_schema LIMIT 1")
		}
		err = errors.Join(err, openErr)
	}
	for _, conn := range opened { // back into the pool
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &readers{pool: pool, prepared: map[string]*sql.Stmt{}}, nil
}

func (r *readers) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	for _, s := range r.prepared {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, r.pool.Close())
}

// prepare compiles a query, or finds it.
func (r *readers) prepare(query string) (*sql.Stmt, error) {
	r.mu.RLock()
	s := r.prepared[query]
	r.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	s, err := r.pool.PrepareContext(context.Background(), query) // others use it as well: no caller's context ends it
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.prepared[query]; other != nil {
		return other, s.Close()
	}
	r.prepared[query] = s
	return s, nil
}

// query finds any number of rows, which must be closed.
func (r *readers) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := r.prepare(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// queryRow finds one row. The end of ctx does not interrupt it: to watch for
// that costs more than most rows take to be found.
func (r *readers) queryRow(ctx context.Context, query string, args ...any) scanner {
	s, err := r.prepare(query)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return failedRow{err}
	}
	return s.QueryRowContext(context.WithoutCancel(ctx), args...)
}

// scanner is a row that can be read.
type scanner interface{ Scan(dest ...any) error }

// failedRow is the row of a query that could not be asked.
type failedRow struct{ err error }

// Scan implements scanner.
func (r failedRow) Scan(...any) error { return r.err }

// scanAll reads all rows and closes them.
func scanAll[T any](rows *sql.Rows, scan func(scanner) (T, error)) ([]T, error) {
	return appendAll(nil, rows, scan)
}

// appendAll is scanAll for a list that holds something already.
func appendAll[T any](list []T, rows *sql.Rows, scan func(scanner) (T, error)) (_ []T, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}
