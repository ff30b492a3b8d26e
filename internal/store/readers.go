package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// readers are the connections that only read. They keep their queries compiled,
// which costs more than carrying out what finds a few rows by an index. Queries
// are constants, so that there are no more than the program's text has.
type readers struct {
	*sql.DB

	mu       sync.RWMutex
	compiled map[string]*sql.Stmt
}

// QueryContext lists the rows of a constant query.
func (r *readers) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := r.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext finds the one row of a constant query. What finds one is too
// short to be worth a watch over ctx.
func (r *readers) QueryRowContext(ctx context.Context, query string, args ...any) scanner {
	if err := ctx.Err(); err != nil {
		return failedRow{err}
	}
	ctx = context.WithoutCancel(ctx)
	s, err := r.prepare(ctx, query)
	if err != nil {
		return failedRow{err}
	}
	return s.QueryRowContext(ctx, args...)
}

func (r *readers) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	r.mu.RLock()
	s, ok := r.compiled[query]
	r.mu.RUnlock()
	if ok {
		return s, nil
	}
	s, err := r.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first, ok := r.compiled[query]; ok {
		return first, s.Close()
	}
	r.compiled[query] = s
	return s, nil
}

// Close ends the queries and their connections.
func (r *readers) Close() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.compiled {
		err = errors.Join(err, s.Close())
	}
	clear(r.compiled)
	return errors.Join(err, r.DB.Close())
}

// failedRow is a row that could not be asked for.
type failedRow struct{ err error }

func (f failedRow) Scan(...any) error { return f.err }
