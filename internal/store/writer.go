package store

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"sync"

	"jetstream/internal/api"
)

// maxBatch bounds how many updates share one commit.
const maxBatch = 512

// writer is the only connection that changes the database. Updates that come
// while a commit is going on wait in a queue and share the next one (group
// commit): the caller of the oldest leads. The leader takes what waits, carries
// it out in one transaction, wakes the callers with the outcome, and hands the
// lead to the oldest of those that came meanwhile. What one transaction does is
// in batch.go.
type writer struct {
	// These belong to the leader.
	pool     *sql.DB // of one connection
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	noSync   bool // the connection's present setting
	disk     *disk
	// Their statements insert several rows.
	runInserts, entryInserts, recvFileInserts, manifestFileInserts, removalInserts, sentSourceInserts inserts

	mu      sync.Mutex
	queue   []*update
	leading bool // somebody leads
	closed  bool
}

// update is a function that waits for its transaction, or is in it.
type update struct {
	fn     func(*tx) error
	noSync bool
	tx     tx

	leads bool          // set before wake
	err   error         // the outcome; final once woken without leads
	wake  chan struct{} // gets a value when the update is done, or is to lead
}

// writerPragmas set the connection up. Savepoints are kept in memory: for each
// batch SQLite would make a file for them.
const writerPragmas = "&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)"

func openWriter(ctx context.Context, uri string, disk *disk) (*writer, error) {
	pool, err := sql.Open("sqlite", uri+writerPragmas)
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &writer{
		pool: pool, conn: conn, prepared: map[string]*sql.Stmt{}, disk: disk,
		runInserts: newInserts(insertRun, insertRunColumns), entryInserts: newInserts(insertEntry, insertEntryColumns),
		recvFileInserts:     newInserts(saveRecvFile, saveRecvFileColumns),
		removalInserts:      newInserts(saveRemoval, saveRemovalColumns),
		manifestFileInserts: newInserts(addManifestFile, addManifestFileColumns),
		sentSourceInserts:   newInserts(saveSentSource, saveSentSourceColumns),
	}, nil
}

// run carries out an update and returns its outcome.
func (w *writer) run(u *update) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return api.Errorf(api.CodeUnavailable, "the server is stopping")
	}
	w.enqueue(u)
	w.mu.Unlock()
	w.finish(u)
	return u.err
}

// enqueue adds an update to the queue. mu is held.
func (w *writer) enqueue(u *update) {
	u.wake = make(chan struct{}, 1)
	w.queue = append(w.queue, u)
	if !w.leading {
		w.leading = true
		u.leads = true
		u.wake <- struct{}{}
	}
}

// finish returns when an update of the queue is done.
func (w *writer) finish(u *update) {
	<-u.wake
	if u.leads {
		w.lead()
	}
}

// lead commits one batch, which holds the leader's own update because that is
// the oldest.
func (w *writer) lead() {
	w.collectWaiters()
	w.mu.Lock()
	n := min(len(w.queue), maxBatch)
	batch := w.queue[:n:n]
	w.queue = w.queue[n:]
	w.mu.Unlock()

	w.commit(batch)
	for _, u := range batch[1:] {
		u.wake <- struct{}{}
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.queue, w.leading = nil, false
		return
	}
	w.queue[0].leads = true
	w.queue[0].wake <- struct{}{}
}

// collectWaiters lets those who have just been answered bring their next
// update, so that they share this commit and not each second one. It only
// yields to what can run, and stops when nothing more comes of it.
func (w *writer) collectWaiters() {
	for before := 0; ; {
		w.mu.Lock()
		n := len(w.queue)
		w.mu.Unlock()
		if n == before || n >= maxBatch {
			return
		}
		before = n
		runtime.Gosched()
	}
}

// stop refuses further updates and returns when those in the queue are done;
// false if it was called before.
func (w *writer) stop() bool {
	last := &update{fn: func(*tx) error { return nil }, noSync: true}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return false
	}
	w.closed = true
	w.enqueue(last)
	w.mu.Unlock()
	w.finish(last)
	return true
}

// close closes the connection; nobody may lead.
func (w *writer) close() (err error) {
	for _, s := range w.prepared {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, w.conn.Close(), w.pool.Close())
}

// setSync chooses whether commits wait for the disk.
func (w *writer) setSync(noSync bool) error {
	if noSync == w.noSync {
		return nil
	}
	pragma := "PRAGMA synchronous = FULL"
	if noSync {
		pragma = "PRAGMA synchronous = NORMAL"
	}
	// It takes effect when it is compiled, so that it is not to be kept prepared.
	if _, err := w.conn.ExecContext(context.Background(), pragma); err != nil {
		return err
	}
	w.noSync = noSync
	return nil
}

// prepare compiles a constant statement, or finds it.
func (w *writer) prepare(query string) (*sql.Stmt, error) {
	if s, ok := w.prepared[query]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	w.prepared[query] = s
	return s, nil
}

func (w *writer) exec(query string, args ...any) (sql.Result, error) {
	s, err := w.prepare(query)
	if err != nil {
		return nil, err
	}
	return s.Exec(args...)
}

// do is exec for what has no result.
func (w *writer) do(query string) error {
	_, err := w.exec(query)
	return err
}
