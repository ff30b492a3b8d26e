package lite

import (
	"context"
	"errors"
	"sync"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// Rows are the rows of a query, read one after the other. They hold a
// connection until they are closed, and belong to one goroutine.
type Rows struct {
	pool *Pool
	conn *conn // nil once closed
	of   *statement
	ctx  context.Context // nil when nobody watches
	stop func()          // ends the watch; nil without one

	at     bool // there is a row to be read
	inside bool // SQLite's code runs, or has panicked
	err    error
}

// begin takes a connection and gives the query its arguments.
func (r *Rows) begin(ctx context.Context, query string, args []any) (err error) {
	c, err := r.pool.acquire(ctx)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			r.pool.release(c)
		}
	}()
	of, err := c.compile(query)
	if err != nil {
		return err
	}
	if err := c.bind(of, args); err != nil {
		c.unbind(of)
		return err
	}
	r.conn, r.of, done = c, of, true
	return nil
}

// watch interrupts the query when ctx ends.
func (r *Rows) watch(ctx context.Context) {
	if ctx.Done() == nil {
		return
	}
	w := &watch{conn: r.conn, over: make(chan struct{})}
	unwatch := context.AfterFunc(ctx, w.interrupt)
	r.ctx, r.stop = ctx, func() {
		unwatch()
		w.end()
	}
}

// watch is over one query whose context may end.
type watch struct {
	over chan struct{} // closed by end

	mu    sync.Mutex
	conn  *conn // only ours until end
	ended bool
}

// interruptAgain is how long a query may go on that was interrupted the moment
// before it began: that SQLite forgets.
const interruptAgain = 5 * time.Millisecond

// interrupt ends the query.
func (w *watch) interrupt() {
	for w.once() {
		select {
		case <-w.over:
		case <-time.After(interruptAgain):
		}
	}
}

func (w *watch) once() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.conn.interrupt()
	}
	return !w.ended
}

// end keeps the connection's next query from being interrupted.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	close(w.over)
}

// Next goes to the next row. False is the end, or an error, which Err tells;
// then the rows are closed.
func (r *Rows) Next() bool {
	if r.conn == nil {
		return false
	}
	r.inside = true
	rc := sqlite3.Xsqlite3_step(r.conn.tls, r.of.handle)
	r.inside = false
	if r.at = rc == sqlite3.SQLITE_ROW; r.at {
		return true
	}
	if rc != sqlite3.SQLITE_DONE {
		r.err = r.conn.fault(rc)
		if rc&0xff == sqlite3.SQLITE_INTERRUPT && r.ctx != nil && r.ctx.Err() != nil {
			r.err = r.ctx.Err()
		}
	}
	_ = r.Close() // it has no error of its own
	return false
}

// Err is what ended the rows early, nil at their end.
func (r *Rows) Err() error { return r.err }

// Close ends the query and gives the connection back. The error is always nil.
// A second Close does nothing.
func (r *Rows) Close() error {
	c := r.conn
	if c == nil {
		return nil
	}
	r.conn, r.at = nil, false
	if r.stop != nil {
		r.stop()
	}
	if r.inside { // nobody knows what state it is in
		<-r.pool.busy
		return nil
	}
	sqlite3.Xsqlite3_reset(c.tls, r.of.handle) // repeats the error of the last step
	c.unbind(r.of)
	r.pool.release(c)
	return nil
}

var errNoRow = errors.New("there is no row to read: Next comes first")
