package store

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"

	"jetstream/internal/stream"
	"jetstream/triggers"
)

// batch is the updates that share one commit.
type batch struct {
	db       *DB
	requests []*request
	lax      bool
	begun    bool       // the transaction of SQLite, with the tables locked
	imports  *imports   // what it has put into the tables out of the journal
	putOff   []*request // with a run to be saved, and nothing else done
	broken   error      // why the transaction is no longer what it should be

	lastRun, lastEntry int64 // the highest numbers given, where there is a journal
}

// tx is the transaction that an update runs in. It belongs to one goroutine
// and is dead when the update's function returns.
//
// What is only added is put off, so that it is saved together with that of
// other updates: runs until something is asked or changed, entries until the
// end.
type tx struct {
	db      *DB
	batch   *batch
	begun   bool // something was carried out
	after   []func()
	runs    []*triggers.Run
	entries []*stream.Entry
}

// AfterCommit implements triggers.Tx.
func (t *tx) AfterCommit(f func()) { t.after = append(t.after, f) }

// begin goes before each statement of an update: what was put off until now is
// saved, so that the statement finds it.
func (t *tx) begin() error {
	if !t.begun {
		b := t.batch
		if b.broken == nil {
			b.broken = b.begin()
		}
		if b.broken == nil {
			b.broken = b.savePutOff()
		}
		if b.broken == nil && b.shared() {
			b.broken = t.db.do(savepoint)
		}
		if b.broken != nil {
			return b.broken
		}
		t.begun = true
	}
	runs := t.runs
	t.runs = nil
	return t.batch.saveRuns(runs)
}

// An update has a savepoint where others share its transaction, so that only
// its own changes are undone when it fails.
const (
	savepoint   = "SAVEPOINT one"
	undo        = "ROLLBACK TO one"
	endOfUpdate = "RELEASE one"
)

func (b *batch) shared() bool { return len(b.requests) > 1 }

// transact carries out the updates of a batch. The error is that of all; what
// one alone failed by is in its request. A batch that only adds runs and entries
// goes into the journal, where there is one; else all is one transaction of
// SQLite, which begins when something is asked or changed.
func (db *DB) transact(requests []*request) (err error) {
	b := &batch{db: db, requests: requests}
	j := db.journal
	b.lax = j == nil || len(j.loose) < maxLoose
	for _, r := range requests {
		b.lax = b.lax && r.lax
	}
	defer func() { b.finish(err) }()
	for _, r := range requests {
		if err := b.carryOut(r); err != nil {
			return err
		}
	}
	if !b.begun && (!b.adds() || b.journaled()) {
		return nil
	}
	if err := b.begin(); err != nil {
		return err
	}
	if err := b.savePutOff(); err != nil {
		return err
	}
	var entries []*stream.Entry
	for _, r := range requests {
		if r.err == nil {
			entries = append(entries, r.tx.entries...)
		}
	}
	if err := b.saveEntries(entries); err != nil {
		return err
	}
	if err := db.do("COMMIT"); err != nil {
		return err
	}
	db.lastRun, db.lastEntry = b.lastRun, b.lastEntry
	if b.imports != nil {
		db.imported(*b.imports)
	}
	if j != nil && b.lax && len(entries) > 0 {
		j.loose, j.used = append(j.loose, entries...), true
	}
	return nil
}

// begin begins the transaction, unless it has begun, and puts into the tables
// what only the journal has.
func (b *batch) begin() error {
	if b.begun {
		return nil
	}
	db := b.db
	db.tables.Lock()
	b.begun = true
	b.lastRun, b.lastEntry = db.lastRun, db.lastEntry
	if err := db.setLax(b.lax); err != nil {
		return err
	}
	if err := db.do("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	j := db.journal
	var turn uint64
	switch {
	case j == nil:
		return nil
	case !b.lax && j.used:
		turn = newTurn() // the tables will have all of it, on disk
	case !b.requests[0].marks && j.behind():
		turn = j.turn
	default:
		return nil
	}
	i, err := db.importFrames(math.MaxInt64, turn)
	b.imports = &i
	return err
}

// finish ends a transaction that has begun, which is undone if it failed.
func (b *batch) finish(err error) {
	if !b.begun {
		return
	}
	if err != nil {
		_ = b.db.do("ROLLBACK") // a full disk may have rolled back by itself
	}
	b.db.tables.Unlock()
}

// adds tells whether a batch whose transaction has not begun has anything to be
// saved.
func (b *batch) adds() bool {
	return slices.ContainsFunc(b.requests, func(r *request) bool {
		return r.err == nil && len(r.tx.runs)+len(r.tx.entries) > 0
	})
}

// carryOut runs the function of an update.
func (b *batch) carryOut(r *request) error {
	t := &r.tx
	t.db, t.batch = b.db, b
	r.err = call(r.fn, t)
	if r.err == nil && b.broken == nil && (t.begun || len(t.runs) > 1) {
		r.err = t.begin() // saves what was put off since the last statement
	}
	switch {
	case b.broken != nil:
		return b.broken
	case !b.shared() && r.err != nil:
		return r.err
	case b.shared() && t.begun:
		return b.end(r)
	case r.err == nil && len(t.runs) > 0:
		b.putOff = append(b.putOff, r)
	}
	return nil
}

// end ends the savepoint of an update, which is undone if it failed.
func (b *batch) end(r *request) error {
	if r.err == nil {
		return b.db.do(endOfUpdate)
	}
	// On a full disk SQLite may have rolled the whole transaction back by
	// itself; then there is no savepoint and all must fail.
	if err := errors.Join(b.db.do(undo), b.db.do(endOfUpdate)); err != nil {
		return fmt.Errorf("%w (while undoing: %w)", r.err, err)
	}
	return nil
}

// savePutOff saves the runs that were put off, several by one statement. What
// cannot be saved fails alone.
func (b *batch) savePutOff() error {
	late := b.putOff
	b.putOff = nil
	for len(late) > 0 {
		n := several(len(late))
		runs := make([]*triggers.Run, n)
		for i, r := range late[:n] {
			runs[i] = r.tx.runs[0]
		}
		if err := b.saveRuns(runs); err != nil {
			if b.lost() {
				return err
			}
			for _, r := range late[:n] {
				if r.err = b.saveRuns(r.tx.runs); r.err != nil && b.lost() {
					return r.err
				}
			}
		}
		late = late[n:]
	}
	return nil
}

// lost tells whether SQLite has rolled the whole transaction back when a
// statement failed, as it may on a full disk: then another can be begun.
// Otherwise nothing is left of that statement alone.
func (b *batch) lost() bool { return b.db.do("BEGIN") == nil }

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
