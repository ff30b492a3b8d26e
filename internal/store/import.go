package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"jetstream/internal/stream"
	"jetstream/triggers"
)

// The journal's rows go into the tables before anybody looks at these, and when
// there is much of it.
const (
	// manyShare is which part of the journal is much.
	manyShare = 2
	// importBytes is how many bytes go into the tables in one transaction, so
	// that nobody waits long for the tables.
	importBytes = 1 << 20
	// importRows is how many rows are gathered for the statements that insert
	// several.
	importRows = 128
)

// OpenServer is Open for the one server that has locked the state directory:
// updates that only add trigger runs and entries become durable in a journal
// beside the database, and what a former server left there is taken up.
func OpenServer(ctx context.Context, dir string) (*DB, error) {
	db, err := Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := db.useJournal(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the journal in state directory %s cannot be used: %w", dir, err), db.Close())
	}
	return db, nil
}

func (db *DB) useJournal(ctx context.Context) error {
	j := &journal{path: filepath.Join(db.writable.dir, journalFile), most: journalSize}
	known, err := db.Meta(ctx, journalFact)
	if err != nil {
		return err
	}
	turn, number := newTurn(), uint64(0)
	if known != "" {
		if _, err := fmt.Sscanf(known, journalForm, &turn, &number); err != nil {
			return fmt.Errorf("the database knows it as %q: %w", known, err)
		}
	}
	if err := j.takeUp(turn, number); err != nil {
		return errors.Join(err, j.close(false))
	}
	db.journal = j
	if err := db.update(ctx, (*tx).begin); err != nil { // as with every update that is on disk, it begins anew
		return err
	}
	if err := db.readers.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM runs").Scan(&db.lastRun); err != nil {
		return err
	}
	db.lastEntry, err = db.Entries().Newest(ctx)
	return err
}

// journaled saves a batch that only adds runs and entries, and tells whether it
// did; if not, the tables must take it.
func (b *batch) journaled() bool {
	db := b.db
	if db.journal == nil || !db.writable.ok() {
		return false
	}
	var runs []*triggers.Run
	var entries []*stream.Entry
	for _, r := range b.requests {
		if r.err == nil {
			runs = append(runs, r.tx.runs...)
			entries = append(entries, r.tx.entries...)
		}
	}
	if db.journal.append(runs, db.lastRun+1, entries, db.lastEntry+1) != nil {
		return false
	}
	for _, r := range runs {
		db.lastRun++
		r.Seq = db.lastRun
	}
	for _, e := range entries {
		db.lastEntry++
		e.ID = db.lastEntry
	}
	return true
}

// imports is what a transaction puts into the tables out of the journal.
type imports struct {
	next   int64 // behind its last frame
	number uint64
	turn   uint64 // from then on
}

// importFrames puts frames of the journal into the tables, within the
// transaction that goes on: those up to the newest, or so many bytes. imported
// takes note when it is committed. A new turn is for a transaction that takes
// all and is on disk then, which it is because a new turn changes the tables:
// SQLite syncs nothing where nothing has changed.
func (db *DB) importFrames(most int64, turn uint64) (i imports, err error) {
	j := db.journal
	i = imports{j.next, j.imported.Load(), turn}
	var runs, entries [][]any
	save := func() error {
		if _, err := db.insert(runsTable, runs); err != nil {
			return err
		}
		_, err := db.insert(entriesTable, entries)
		runs, entries = runs[:0], entries[:0]
		return err
	}
	for i.number != j.newest.Load() && i.next-j.next < most {
		f, err := j.frameAt(i.next)
		if err == nil && f.number != i.number+1 {
			err = errNoFrame
		}
		if err != nil {
			return i, fmt.Errorf("frame %d of the journal: %w", i.number+1, err)
		}
		more, moreEntries, loose, err := readRows(f.rows)
		if err != nil {
			return i, err
		}
		for _, e := range loose {
			if _, err := db.exec(insertLoose, e); err != nil {
				return i, err
			}
		}
		runs, entries = append(runs, more...), append(entries, moreEntries...)
		if len(runs)+len(entries) >= importRows {
			if err := save(); err != nil {
				return i, err
			}
		}
		i.next, i.number = i.next+f.size, f.number
	}
	if err := save(); err != nil {
		return i, err
	}
	_, err = db.exec(setMeta, []any{journalFact, fmt.Sprintf(journalForm, i.turn, i.number)})
	return i, err
}

func (db *DB) imported(i imports) {
	j := db.journal
	j.next = i.next
	j.imported.Store(i.number)
	if i.turn != j.turn {
		db.writable.notice(j.restart(i.turn))
	}
}

// importSome puts some of the journal into the tables, in a transaction of its
// own. That need not be on disk at once, as the journal is.
func (db *DB) importSome() (err error) {
	db.tables.Lock()
	defer db.tables.Unlock()
	if !db.journal.behind() {
		return nil
	}
	if err := db.setLax(true); err != nil {
		return err
	}
	if err := db.do("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	i, err := db.importFrames(importBytes, db.journal.turn)
	if err == nil {
		err = db.do("COMMIT")
	}
	if err != nil {
		_ = db.do("ROLLBACK") // a full disk may have rolled back by itself
		return err
	}
	db.imported(i)
	return nil
}

// settle puts into the tables what the journal has now.
func (db *DB) settle(ctx context.Context) error {
	if !db.journal.behind() {
		return nil
	}
	for newest := db.journal.newest.Load(); db.journal.imported.Load() < newest; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := db.settleSome(); err != nil {
			return err
		}
	}
	return nil
}

// settleSome is importSome for those who wait for it.
func (db *DB) settleSome() error {
	err := db.importSome()
	db.writable.notice(err)
	return told(err)
}

// renew lets a journal of which there is much begin anew, where the tables have
// all of it. For the leader of a group commit.
func (db *DB) renew() {
	if j := db.journal; j != nil && j.end >= j.most/manyShare && !j.behind() && db.writable.ok() {
		db.commit([]*request{{fn: (*tx).begin, done: make(chan error, 1)}})
	}
}

// relieve imports what has become much, beside those who go on to add to the
// journal. For the leader of a group commit.
func (db *DB) relieve() {
	if j := db.journal; j == nil || j.end < j.most/manyShare || !j.behind() || !db.writable.ok() || !db.relieving.CompareAndSwap(false, true) {
		return
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed { // Close does it, and waits for no others
		return
	}
	db.background.Go(func() {
		defer db.relieving.Store(false)
		_ = db.settle(context.Background()) // who needs it meets its error again
	})
}
