package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"jetstream/internal/api"
	"jetstream/internal/stream"
)

// maxBatch bounds how many updates share one commit.
const maxBatch = 512

// request is one update that waits for a commit.
type request struct {
	fn      func(*tx) error
	lax     bool
	err     error         // of fn
	after   []func()      // run once durable
	done    chan error    // receives the outcome; buffered
	elected chan struct{} // closed when this request's caller becomes the leader
}

// tx is the transaction that an update runs in. It belongs to one goroutine
// and is dead when the update's function returns.
type tx struct {
	db      *DB
	after   []func()
	entries []*stream.Entry // to be saved when all updates of the batch are done
}

// AfterCommit implements triggers.Tx.
func (t *tx) AfterCommit(f func()) { t.after = append(t.after, f) }

// update runs fn in a transaction that is on disk when it returns nil. fn may
// run together with others in one commit, but never sees a half-done one; if
// it fails, only its own changes are undone. A ctx that ends while waiting in
// the queue gives the update up; once it has begun it is carried through.
func (db *DB) update(ctx context.Context, fn func(*tx) error) error {
	return db.submit(ctx, &request{fn: marked(ctx, fn), done: make(chan error, 1), elected: make(chan struct{})}, false)
}

// updateLax is update for marks that must survive kill -9 but not a power cut:
// no fsync of its own. A later update makes them durable with it.
func (db *DB) updateLax(ctx context.Context, fn func(*tx) error) error {
	return db.submit(ctx, &request{fn: fn, lax: true, done: make(chan error, 1), elected: make(chan struct{})}, false)
}

func (db *DB) submit(ctx context.Context, r *request, closing bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db.mu.Lock()
	if db.closed && !closing {
		db.mu.Unlock()
		return api.Errorf(api.CodeUnavailable, "the server is stopping")
	}
	db.pending = append(db.pending, r)
	if !db.leading {
		db.leading = true
		close(r.elected)
	}
	db.mu.Unlock()

	select {
	case err := <-r.done: // another's commit carried it
		return err
	case <-r.elected:
	}
	db.lead()
	return <-r.done
}

// lead commits one batch, which holds the leader's own request because it is
// the oldest, then hands the lead to the next who waits.
func (db *DB) lead() {
	db.gather()
	db.mu.Lock()
	n := min(len(db.pending), maxBatch)
	batch := db.pending[:n:n]
	db.pending = db.pending[n:]
	db.mu.Unlock()

	db.commit(batch)

	db.mu.Lock()
	if len(db.pending) > 0 {
		close(db.pending[0].elected)
	} else {
		db.pending = nil
		db.leading = false
	}
	db.mu.Unlock()
}

// gather lets those who have just been answered hand in their next update, so
// that they share this commit and not each second one. It waits for nobody: it
// only gives way to what can run, and stops when nothing more comes of it.
func (db *DB) gather() {
	for before := 0; ; {
		db.mu.Lock()
		n := len(db.pending)
		db.mu.Unlock()
		if n == before || n >= maxBatch {
			return
		}
		before = n
		runtime.Gosched()
	}
}

// commit carries out a batch in one SQLite transaction and answers everybody.
func (db *DB) commit(batch []*request) {
	err := db.transact(batch)
	for _, r := range batch {
		outcome := r.err
		if outcome == nil {
			outcome = err
		}
		if outcome == nil {
			for _, f := range r.after {
				f()
			}
		}
		db.writable.notice(outcome)
		r.done <- told(outcome)
	}
}

func (db *DB) transact(batch []*request) error {
	lax := true
	for _, r := range batch {
		lax = lax && r.lax
	}
	if err := db.setLax(lax); err != nil {
		return err
	}
	if err := db.do("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	var entries []*stream.Entry
	for _, r := range batch {
		t := &tx{db: db}
		if len(batch) > 1 {
			if err := db.do("SAVEPOINT one"); err != nil {
				return errors.Join(err, db.do("ROLLBACK"))
			}
		}
		r.err = call(r.fn, t)
		r.after = t.after
		switch {
		case len(batch) == 1 && r.err != nil:
			return db.do("ROLLBACK")
		case len(batch) > 1 && r.err != nil:
			// On a full disk SQLite may have rolled the whole transaction
			// back by itself; then there is no savepoint and all must fail.
			if err := errors.Join(db.do("ROLLBACK TO one"), db.do("RELEASE one")); err != nil {
				_ = db.do("ROLLBACK")
				return fmt.Errorf("%w (while undoing: %w)", r.err, err)
			}
		case len(batch) > 1:
			if err := db.do("RELEASE one"); err != nil {
				return errors.Join(err, db.do("ROLLBACK"))
			}
		}
		if r.err == nil {
			entries = append(entries, t.entries...)
		}
	}
	if err := db.saveEntries(entries); err != nil {
		_ = db.do("ROLLBACK") // a full disk may have rolled back by itself
		return err
	}
	if err := db.do("COMMIT"); err != nil {
		_ = db.do("ROLLBACK") // COMMIT may have rolled back by itself
		return err
	}
	return nil
}

// call runs fn; a panic becomes an error, so that one bad update can neither
// stop the writer nor take its batch along.
func call(fn func(*tx) error, t *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a database update: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(t)
}

func (db *DB) setLax(lax bool) error {
	if lax == db.lax {
		return nil
	}
	mode := "PRAGMA synchronous = FULL"
	if lax {
		mode = "PRAGMA synchronous = NORMAL"
	}
	// A pragma acts while it is compiled, so that it cannot be kept compiled.
	if _, err := db.writer.ExecContext(context.Background(), mode); err != nil {
		return err
	}
	db.lax = lax
	return nil
}
