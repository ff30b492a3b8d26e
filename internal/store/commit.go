package store

import (
	"context"
	"errors"
	"runtime"

	"jetstream/internal/api"
)

// maxBatch bounds how many updates share one commit.
const maxBatch = 512

// request is one update that waits for a commit.
type request struct {
	fn    func(*tx) error
	lax   bool
	marks bool // see mark
	tx    tx
	err   error      // of fn, or of saving what it left to be saved
	done  chan error // receives the outcome, before it errElected if its caller leads; buffered
}

// errElected tells the caller of an update to lead.
var errElected = errors.New("lead")

// update runs fn in a transaction that is on disk when it returns nil. fn may
// run together with others in one commit, but never sees a half-done one; if
// it fails, only its own changes are undone. A ctx that ends while waiting in
// the queue gives the update up; once it has begun it is carried through.
func (db *DB) update(ctx context.Context, fn func(*tx) error) error {
	return db.submit(ctx, &request{fn: marked(ctx, fn), done: make(chan error, 1)}, false)
}

// updateLax is update for marks that must survive kill -9 but not a power cut:
// no fsync of its own. A later update of the tables makes them durable with it.
func (db *DB) updateLax(ctx context.Context, fn func(*tx) error) error {
	return db.submit(ctx, &request{fn: fn, lax: true, done: make(chan error, 1)}, false)
}

// mark is updateLax for what changes runs that the tables have and looks at no
// others: it needs nothing that only the journal has.
func (db *DB) mark(ctx context.Context, fn func(*tx) error) error {
	return db.submit(ctx, &request{fn: fn, lax: true, marks: true, done: make(chan error, 1)}, false)
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
		r.done <- errElected
	}
	db.mu.Unlock()

	err := <-r.done
	if err == errElected { //nolint:errorlint // it is a sign, not a failure
		db.lead()
		err = <-r.done
	}
	return err // of the commit that carried it
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

	db.renew()
	marks, others := divide(batch)
	db.commit(marks)
	db.commit(others)
	db.relieve()

	db.mu.Lock()
	if len(db.pending) > 0 {
		db.pending[0].done <- errElected
	} else {
		db.pending = nil
		db.leading = false
	}
	db.mu.Unlock()
}

// divide divides a batch in two, so that what could go into the journal does so
// beside marks.
func divide(batch []*request) (marks, others []*request) {
	for _, r := range batch {
		if r.marks {
			marks = append(marks, r)
		} else {
			others = append(others, r)
		}
	}
	return marks, others
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

// commit carries out a batch, in the journal or in one SQLite transaction, and
// answers everybody.
func (db *DB) commit(batch []*request) {
	if len(batch) == 0 {
		return
	}
	err := db.transact(batch)
	db.writable.notice(err) // also where each has failed by itself
	for _, r := range batch {
		outcome := r.err
		if outcome == nil {
			outcome = err
		}
		if outcome == nil {
			for _, f := range r.tx.after {
				f()
			}
		}
		db.writable.notice(outcome)
		r.done <- told(outcome)
	}
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
