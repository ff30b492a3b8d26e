package store

import (
	"context"
	"runtime"

	"jetstream/internal/api"
)

// maxBatch bounds how many updates share one commit.
const maxBatch = 512

// request is one update that waits for a commit.
type request struct {
	fn      func(*tx) error
	lax     bool
	tx      tx
	err     error         // of fn, or of saving what it left to be saved
	done    chan error    // receives the outcome; buffered
	elected chan struct{} // closed when this request's caller becomes the leader
}

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
