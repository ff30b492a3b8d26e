package store

import (
	"database/sql"

	"jetstream/internal/stream"
	"jetstream/triggers"
)

// tx is the transaction as one update sees it. It belongs to one goroutine and
// ends when the update's function returns.
type tx struct {
	db     *DB
	batch  *batch
	begun  bool  // it has run statements
	failed error // by the first of them that did

	runs        []*triggers.Run // to be written before the next statement
	entries     []*stream.Entry // to be written at the end of the batch
	afterCommit []func()
}

// AfterCommit implements stream.Tx.
func (t *tx) AfterCommit(f func()) { t.afterCommit = append(t.afterCommit, f) }

// AppendEntry implements stream.Tx.
func (t *tx) AppendEntry(e *stream.Entry) error {
	t.entries = append(t.entries, e)
	return nil
}

// InsertRun implements triggers.Tx.
func (t *tx) InsertRun(r *triggers.Run) error {
	t.runs = append(t.runs, r)
	return t.runChanged(r)
}

// OnRunChange has f called for every run that is inserted or changed, in the
// transaction that does so; an error of f fails the update. Call it before the
// runs are used.
func (db *DB) OnRunChange(f func(stream.Tx, *triggers.Run) error) { db.onRunChange = f }

func (t *tx) runChanged(r *triggers.Run) error {
	if t.db.onRunChange == nil {
		return nil
	}
	return t.db.onRunChange(t, r)
}

// begin goes before each statement: it writes the runs that were inserted until
// now. An update that has failed once runs no further statement: on a full disk
// SQLite may have ended the transaction by itself, and what comes then would be
// committed alone.
func (t *tx) begin() error {
	if t.failed == nil && !t.begun {
		t.begun = true
		t.failed = t.batch.beginUpdate()
	}
	if t.failed == nil && len(t.runs) > 0 {
		runs := t.runs
		t.runs = nil
		t.failed = t.batch.w.insertRuns(runs)
	}
	return t.failed
}

// exec runs a constant statement that returns no rows.
func (t *tx) exec(query string, args ...any) (sql.Result, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	res, err := t.batch.w.exec(query, args...)
	t.failed = err
	return res, err
}

// execCount is exec, and tells how many rows were changed.
func (t *tx) execCount(query string, args ...any) (int64, error) {
	res, err := t.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// insert is exec of an INSERT, and returns the row's number.
func (t *tx) insert(query string, args ...any) (int64, error) {
	res, err := t.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// query runs a constant query; the rows must be closed before the next
// statement.
func (t *tx) query(query string, args ...any) (*sql.Rows, error) {
	s, err := t.prepare(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.Query(args...)
	t.failed = err
	return rows, err
}

// queryRow is query for one row.
func (t *tx) queryRow(query string, args ...any) scanner {
	s, err := t.prepare(query)
	if err != nil {
		return failedRow{err}
	}
	row := s.QueryRow(args...)
	t.failed = row.Err()
	return row
}

func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	s, err := t.batch.w.prepare(query)
	t.failed = err
	return s, err
}
