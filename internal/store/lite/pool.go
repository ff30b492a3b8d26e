// Package lite reads an SQLite database over connections of its own, straight
// on the compiled C code that the database/sql driver of modernc.org/sqlite
// lies on. What finds a few rows by an index takes SQLite a few microseconds,
// and the driver and database/sql several times that: they lock each column of
// each row, ask for the names of the columns anew with each query, and pack
// each value twice. A connection here has no locks, as nobody shares it at any
// moment, and values go from SQLite's memory to where they are wanted.
//
// The package only reads. What it makes of the C interface is in conn.go;
// nothing else in this program may call that.
package lite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// ErrClosed is the answer of a pool that was closed.
var ErrClosed = errors.New("the database is closed")

// Pool is a bounded number of connections to one database. They are opened
// when they are wanted, and keep their queries compiled; so queries should be
// constants, of which there are no more than the program's text has. Safe for
// concurrent use.
type Pool struct {
	path string
	busy chan struct{} // one entry for each connection in use

	mu     sync.Mutex
	idle   []*conn // the last one is taken first: it has most in its memory
	closed bool
}

// New makes a pool of up to most connections to the database at path, a file
// that is there. Nothing is opened yet.
func New(path string, most int) *Pool {
	return &Pool{path: path, busy: make(chan struct{}, most)}
}

// acquire takes a connection, and waits while all are in use. Who got one must
// call release.
func (p *Pool) acquire(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case p.busy <- struct{}{}:
	default:
		select {
		case p.busy <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	p.mu.Lock()
	closed := p.closed
	var c *conn
	if n := len(p.idle); n > 0 {
		c = p.idle[n-1]
		p.idle = p.idle[:n-1]
	}
	p.mu.Unlock()
	var err error
	switch {
	case closed:
		err = ErrClosed
	case c == nil:
		c, err = open(p.path)
	}
	if err != nil {
		<-p.busy
		return nil, err
	}
	return c, nil
}

func (p *Pool) release(c *conn) {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if closed {
		_ = c.close() // it has only read
	}
	<-p.busy
}

// Close closes the connections; those that are in use, when they no longer
// are.
func (p *Pool) Close() (err error) {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		err = errors.Join(err, c.close())
	}
	return err
}

// Query begins a query of any number of rows, which must be closed. When ctx
// ends it is interrupted, also inside a row that takes long to find.
func (p *Pool) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	r := &Rows{pool: p}
	if err := r.begin(ctx, query, args); err != nil {
		return nil, err
	}
	r.watch(ctx)
	return r, nil
}

// QueryRow is a query of which the first row is wanted. It is carried out by
// Scan, and not interrupted: what finds one row is too short to be worth it.
func (p *Pool) QueryRow(ctx context.Context, query string, args ...any) *Row {
	return &Row{pool: p, ctx: ctx, query: query, args: args}
}

// Row is a query of one row that is still to be carried out.
type Row struct {
	pool  *Pool
	ctx   context.Context
	query string
	args  []any
}

// Scan reads the row into dest as Rows.Scan does. Without a row the error is
// sql.ErrNoRows.
func (q *Row) Scan(dest ...any) error {
	r := Rows{pool: q.pool}
	if err := r.begin(q.ctx, q.query, q.args); err != nil {
		return err
	}
	defer r.Close()
	if !r.Next() {
		if r.err != nil {
			return r.err
		}
		return sql.ErrNoRows
	}
	return r.Scan(dest...)
}
