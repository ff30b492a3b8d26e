package store

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"jetstream/internal/stream"
	"jetstream/triggers"
)

// batch is the transaction that updates share.
//
// Where several share it, an update that runs statements does so within a
// savepoint, so that it alone is undone when it fails. Most updates run none:
// they insert a trigger run and append an entry of the log. Such rows are
// collected, and written several by one statement: runs before the next
// statement of any update, which must find them, and entries at the end.
type batch struct {
	w       *writer
	updates []*update
	unsaved []*update // those that inserted runs, not yet written, and ran no statement
	lost    error     // why the transaction as a whole has failed
}

// commit carries out updates in one transaction and sets their outcomes.
func (w *writer) commit(updates []*update) {
	_, err := w.disk.missing()
	if err == nil {
		err = (&batch{w: w, updates: updates}).run()
	}
	w.disk.observe(err) // also where each update has an error of its own
	for _, u := range updates {
		if u.err == nil {
			u.err = err
		}
		if u.err == nil {
			for _, f := range u.tx.afterCommit {
				f()
			}
		}
		w.disk.observe(u.err)
		u.err = userError(u.err)
	}
}

// run runs the transaction. The error is that of all updates; what one alone
// failed by is in that update.
func (b *batch) run() (err error) {
	noSync := !slices.ContainsFunc(b.updates, func(u *update) bool { return !u.noSync })
	if err := b.w.setSync(noSync); err != nil {
		return err
	}
	if err := b.w.do("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = b.w.do("ROLLBACK") // on a full disk SQLite may have done so by itself
		}
	}()
	for _, u := range b.updates {
		if err := b.apply(u); err != nil {
			return err
		}
	}
	if err := b.saveRuns(); err != nil {
		return err
	}
	if err := b.saveEntries(); err != nil {
		return err
	}
	return b.w.do("COMMIT")
}

// apply runs the function of an update. The error is that of all updates.
func (b *batch) apply(u *update) error {
	t := &u.tx
	t.batch = b
	err := call(u.fn, t)
	if err == nil && t.begun {
		err = t.begin() // writes what was inserted since the last statement
	}
	switch {
	case b.lost != nil:
		return b.lost
	case t.begun && b.shared():
		u.err = b.release(err)
		return b.lost
	case t.begun:
		return err
	case err != nil:
		u.err = err
	case len(t.runs) > 0:
		b.unsaved = append(b.unsaved, u)
	}
	return nil
}

// beginUpdate goes before the first statement of an update.
func (b *batch) beginUpdate() error {
	if err := b.saveRuns(); err != nil || !b.shared() {
		return err
	}
	b.lost = b.w.do(savepoint)
	return b.lost
}

// shared tells whether updates must be undone one by one.
func (b *batch) shared() bool { return len(b.updates) > 1 }

// call runs fn; a panic becomes an error, so that one bad update can neither
// stop the writer nor fail its batch.
func call(fn func(*tx) error, t *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a database update: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(t)
}

const savepoint = "SAVEPOINT one"

// release ends a savepoint. With an error, what was done within is undone.
func (b *batch) release(err error) error {
	if err == nil {
		b.lost = b.w.do("RELEASE one")
		return b.lost
	}
	// On a full disk SQLite may have rolled back the whole transaction by
	// itself; then there is no savepoint.
	if undo := errors.Join(b.w.do("ROLLBACK TO one"), b.w.do("RELEASE one")); undo != nil {
		b.lost = fmt.Errorf("%w (while undoing: %w)", err, undo)
	}
	return err
}

// saveRuns writes the runs that are not yet written, in the order of their
// updates. If that fails they are written update by update, so that one that
// cannot be written fails alone.
func (b *batch) saveRuns() error {
	updates := b.unsaved
	b.unsaved = nil
	if len(updates) == 0 {
		return nil
	}
	var all []*triggers.Run
	for _, u := range updates {
		all = append(all, u.tx.runs...)
	}
	if !b.shared() {
		return b.w.insertRuns(all)
	}
	allOrNone := func(runs []*triggers.Run) error {
		if b.lost = b.w.do(savepoint); b.lost != nil {
			return b.lost
		}
		return b.release(b.w.insertRuns(runs))
	}
	if allOrNone(all) == nil || b.lost != nil {
		return b.lost
	}
	for _, u := range updates {
		if u.err = allOrNone(u.tx.runs); b.lost != nil {
			return b.lost
		}
	}
	return nil
}

// saveEntries writes the entries of all updates that have not failed.
func (b *batch) saveEntries() error {
	var all []*stream.Entry
	for _, u := range b.updates {
		if u.err == nil {
			all = append(all, u.tx.entries...)
		}
	}
	return b.w.insertEntries(all)
}
