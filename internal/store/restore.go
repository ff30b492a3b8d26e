package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"jetstream/internal/api"
)

// Restored says what is in a restored database.
type Restored struct {
	Schema int // that it was made with
	// Events is how many trigger events wait, or had a script running: their scripts
	// run once the triggers are resumed.
	Events int
	// Suspended is how many transfers were being sent and can be resumed, Failing how
	// many have lost their remote passwords, Receiving how many were being received.
	Suspended, Failing, Receiving int
	// FirstEntry is the number of the next entry of the event log.
	FirstEntry int64
}

// RestoreDir is the directory in the state directory that holds what a restore is about
// to put in place. While it is there the database cannot be opened.
const RestoreDir = "restore.ready"

// suspendedBy is the message of transfers that a restore suspends.
const suspendedBy = "suspended, since this server was restored from a backup: resume it, or cancel it if it has ended since"

// entryJump is by how much entries of the event log are renumbered at least.
const entryJump = 1_000_000_000

// Restore checks the copy of a database that lies in dir, brings its schema up to date,
// and makes it the beginning of a new history. Nothing of it does anything by itself:
// triggers are paused, and transfers that were being sent suspended. The numbers of
// the event log's entries are raised so far that none is one that the original may
// have given after the copy was made: to the present time in microseconds, as no
// server writes a million entries a second for long. Since all are raised, there is no gap,
// and a client that asks for what came after an entry that it has seen is told to read
// anew.
func Restore(ctx context.Context, dir string) (r Restored, err error) {
	if r.Schema, err = checkDatabase(ctx, filepath.Join(dir, File)); err != nil {
		return r, err
	}
	db, err := open(ctx, dir, false)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if r.FirstEntry, err = db.renumberEntries(ctx); err != nil {
		return r, fmt.Errorf("the event log cannot be renumbered: %w", err)
	}
	return r, db.update(ctx, func(t *tx) error {
		if _, err := t.exec(setMeta, pausedFact, "yes"); err != nil {
			return err
		}
		suspended, err := t.execCount(`UPDATE transfers SET status = 'suspended', error_message = ? WHERE status IN ('pending', 'active')
			AND (length(ticket) > 0 OR length(sealed_password) > 0)`, suspendedBy)
		if err != nil {
			return err
		}
		r.Suspended = int(suspended)
		for query, n := range map[string]*int{
			"SELECT count(*) FROM runs WHERE end_time = 0":                         &r.Events,
			"SELECT count(*) FROM transfers WHERE status IN ('pending', 'active')": &r.Failing,
			"SELECT count(*) FROM recv_transfers WHERE status = 'receiving'":       &r.Receiving,
		} {
			if err := t.queryRow(query).Scan(n); err != nil {
				return err
			}
		}
		return nil
	})
}

// renumbered is how many entries one transaction renumbers, which bounds its memory.
const renumbered = 10_000

// renumberEntries raises the numbers of all entries of the event log and returns the
// next one.
func (db *DB) renumberEntries(ctx context.Context) (next int64, err error) {
	last, err := db.Entries().Newest(ctx)
	if err != nil {
		return 0, err
	}
	raised := max(int64(api.Now()), last+entryJump)
	for {
		var n int64
		err := db.updateNoSync(ctx, func(t *tx) (err error) {
			n, err = t.execCount("UPDATE entries SET id = id + ? WHERE id IN (SELECT id FROM entries WHERE id <= ? ORDER BY id LIMIT ?)", raised-last, last, renumbered)
			return err
		})
		if err != nil {
			return 0, err
		}
		if n < renumbered {
			break
		}
	}
	return raised + 1, db.update(ctx, func(t *tx) error {
		if _, err := t.exec("DELETE FROM sqlite_sequence WHERE name = 'entries'"); err != nil {
			return err
		}
		_, err := t.exec("INSERT INTO sqlite_sequence (name, seq) VALUES ('entries', ?)", raised)
		return err
	})
}

// Lock takes state directory dir, which must exist, for this process until unlock is
// called or the process ends. A directory that another process has is an ErrLocked
// whose text says so.
func Lock(ctx context.Context, dir string) (unlock func() error, err error) { return lock(ctx, dir) }
