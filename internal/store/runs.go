package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/stream"
	"jetstream/triggers"
)

// Runs is the view of the database that the trigger engine works on.
type Runs struct{ db *DB }

// Runs returns the trigger runs of the database.
func (db *DB) Runs() *Runs { return &Runs{db} }

// runFixed is what a run's row weighs beside its texts, in bytes.
const runFixed = 512

// maxPageBytes bounds the texts of one page of a list: a page ends early
// rather than hold a thousand large runs in memory.
const maxPageBytes = 8 << 20

const (
	runValues = "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
	insertRun = "INSERT INTO runs (seq, run_id, status, urgent, event, event_id, attempt, event_time, queue_time, " +
		"depth, request_id, user, transfer_id, subject, lane, process, parameters) VALUES " + runValues
)

// InsertRun implements triggers.Tx.
func (t *tx) InsertRun(r *triggers.Run) error {
	t.runs = append(t.runs, r)
	return t.noteRun(r)
}

// runColumns is how many values runFields tells, and seq.
const runColumns = 17

func runFields(f fields, r *triggers.Run) {
	f.text(r.RunID)
	f.text(string(r.Status))
	f.number(r.Urgent)
	f.text(r.Event)
	f.text(r.EventID)
	f.number(int64(r.Attempt))
	f.number(int64(r.EventTime))
	f.number(int64(r.QueueTime))
	f.number(int64(r.Depth))
	f.text(r.RequestID)
	f.text(r.User)
	f.text(r.TransferID)
	f.text(r.Subject)
	f.text(r.Key)
	f.text(r.Process)
	f.bytes(r.Parameters)
}

// saveRuns inserts runs in their order and sets their Seq.
func (b *batch) saveRuns(runs []*triggers.Run) error {
	if len(runs) == 0 {
		return nil
	}
	rows := make([][]any, len(runs))
	for i, r := range runs {
		row := append(make(valueList, 0, runColumns), b.number(&b.lastRun))
		runFields(&row, r)
		rows[i] = row
	}
	last, err := b.db.insert(runsTable, rows)
	if err != nil {
		return err
	}
	for i, r := range runs {
		r.Seq = last - int64(len(runs)-1-i)
	}
	return nil
}

// number is the next number, as the value of a row. Where there is a journal
// the tables have not all numbers that were given; else SQLite gives it for nil.
func (b *batch) number(last *int64) any {
	if b.db.journal == nil {
		return nil
	}
	*last++
	return *last
}

// NoteRuns has note called for every run that is saved, in the transaction that
// saves it; an error of note fails that. Call it before the runs are used.
func (db *DB) NoteRuns(note func(stream.Tx, *triggers.Run) error) { db.runNote = note }

func (t *tx) noteRun(r *triggers.Run) error {
	if t.db.runNote == nil {
		return nil
	}
	return t.db.runNote(t, r)
}

const markRun = `UPDATE runs SET status = ?, bytes = ?, start_time = ?, end_time = ?, exit_code = ?, signal = ?,
	message = ?, stdout = ?, stdout_dropped = ?, stderr = ?, stderr_dropped = ? WHERE seq = ?`

func (t *tx) markRun(r *triggers.Run) error {
	bytes := runFixed + len(r.Parameters) + len(r.ErrorMessage) + len(r.Stdout.Text) + len(r.Stderr.Text)
	var exit sql.NullInt64
	if r.ExitCode != nil {
		exit = sql.NullInt64{Int64: int64(*r.ExitCode), Valid: true}
	}
	_, err := t.exec(markRun, string(r.Status), bytes, int64(r.StartTime), int64(r.EndTime), exit, r.Signal,
		r.ErrorMessage, r.Stdout.Text, r.Stdout.DroppedBytes,
		r.Stderr.Text, r.Stderr.DroppedBytes, r.Seq)
	if err != nil {
		return err
	}
	return t.noteRun(r)
}

// Update implements triggers.Store.
func (s *Runs) Update(ctx context.Context, fn func(triggers.Tx) error) error {
	return s.db.update(ctx, func(t *tx) error { return fn(t) })
}

// Mark implements triggers.Store.
func (s *Runs) Mark(ctx context.Context, r *triggers.Run) error {
	err := s.db.mark(ctx, func(t *tx) error { return t.markRun(r) })
	if err == nil && r.EndTime != 0 {
		s.db.processes.forget(r.RunID)
	}
	return err
}

// Interrupt implements triggers.Store.
func (s *Runs) Interrupt(ctx context.Context, ended, again *triggers.Run) error {
	err := s.db.update(ctx, func(t *tx) error {
		if err := t.markRun(ended); err != nil {
			return err
		}
		return t.InsertRun(again)
	})
	if err == nil {
		s.db.processes.forget(ended.RunID)
	}
	return err
}

// DropLaunches implements triggers.Store.
func (s *Runs) DropLaunches(ctx context.Context, process, message string) (int, error) {
	n := 0
	err := s.db.update(ctx, func(t *tx) error {
		rows, err := t.query(selectRun+"WHERE end_time = 0 AND status = 'queued' AND event = 'launch' AND process <> ?", process)
		if err != nil {
			return err
		}
		dropped, err := scanRuns(rows)
		for _, r := range dropped {
			r.Status, r.EndTime, r.ErrorMessage = triggers.StatusCancelled, api.Now(), message
			err = errors.Join(err, t.markRun(r))
		}
		n = len(dropped)
		return err
	})
	return n, err
}

// scanRuns reads what is left of rows and closes them.
func scanRuns(rows rows) (runs []*triggers.Run, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, rows.Err()
}

// Prune implements triggers.Store.
func (s *Runs) Prune(ctx context.Context, keep int, maxBytes int64) error {
	// The newest ended runs are walked until one of the bounds is passed; the
	// walk reads the small index only, and nothing is written when all may stay.
	var last sql.NullInt64
	err := s.db.settled().QueryRowContext(ctx, `SELECT seq FROM (
		SELECT seq, row_number() OVER win AS n, sum(bytes) OVER win AS total FROM runs
		WHERE end_time > 0 WINDOW win AS (ORDER BY seq DESC ROWS UNBOUNDED PRECEDING))
		WHERE n > ? OR total > ? ORDER BY seq DESC LIMIT 1`, keep, maxBytes).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.db.updateLax(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM runs WHERE end_time > 0 AND seq <= ?", last.Int64)
		return err
	})
}

const selectRun = `SELECT seq, urgent, run_id, status, event, event_id, attempt, event_time, queue_time, start_time, end_time,
	exit_code, signal, depth, request_id, user, transfer_id, subject, lane, process, message,
	parameters, stdout, stdout_dropped, stderr, stderr_dropped FROM runs `

func scanRun(row interface{ Scan(...any) error }) (*triggers.Run, error) {
	var (
		r          triggers.Run
		exit       sql.NullInt64
		parameters string
	)
	err := row.Scan(&r.Seq, &r.Urgent, &r.RunID, &r.Status, &r.Event, &r.EventID, &r.Attempt, &r.EventTime, &r.QueueTime,
		&r.StartTime, &r.EndTime, &exit, &r.Signal, &r.Depth, &r.RequestID, &r.User,
		&r.TransferID, &r.Subject, &r.Key, &r.Process, &r.ErrorMessage, &parameters,
		&r.Stdout.Text, &r.Stdout.DroppedBytes, &r.Stderr.Text, &r.Stderr.DroppedBytes)
	if err != nil {
		return nil, err
	}
	if exit.Valid {
		code := int(exit.Int64)
		r.ExitCode = &code
	}
	r.Parameters = json.RawMessage(parameters)
	return &r, nil
}

// Running implements triggers.Store.
func (s *Runs) Running(ctx context.Context) (running []*triggers.Run, err error) {
	rows, err := s.db.settled().QueryContext(ctx, selectRun+"WHERE end_time = 0 AND status = 'running' ORDER BY seq")
	if err != nil {
		return nil, err
	}
	if running, err = scanRuns(rows); err != nil {
		return nil, err
	}
	return running, s.db.processes.fill(running)
}

// Run implements triggers.Store.
func (s *Runs) Run(ctx context.Context, runID string) (triggers.Run, error) {
	r, err := scanRun(s.db.settled().QueryRowContext(ctx, selectRun+"WHERE run_id = ?", runID))
	if errors.Is(err, sql.ErrNoRows) {
		return triggers.Run{}, noRun(runID)
	}
	if err != nil {
		return triggers.Run{}, err
	}
	return *r, nil
}

// Runs implements triggers.Store.
func (s *Runs) Runs(ctx context.Context, f triggers.Filter) (page []triggers.Run, more bool, err error) {
	query, args := &strings.Builder{}, []any{}
	query.WriteString(selectRun)
	glue := "WHERE "
	where := func(condition string, arg any) {
		query.WriteString(glue + condition)
		args = append(args, arg)
		glue = " AND "
	}
	if f.Before > 0 {
		where("seq < ?", f.Before)
	}
	if f.Event != "" {
		where("event = ?", f.Event)
	}
	if f.Status != "" {
		where("status = ?", string(f.Status))
	}
	if f.User != "" {
		where("user = ?", f.User)
	}
	if f.Since != 0 {
		where("queue_time >= ?", int64(f.Since))
	}
	query.WriteString(" ORDER BY seq DESC LIMIT ?")
	rows, err := s.db.settled().QueryContext(ctx, query.String(), append(args, f.Limit+1)...)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	size := 0
	for rows.Next() {
		if len(page) == f.Limit || size > maxPageBytes {
			return page, true, nil
		}
		r, err := scanRun(rows)
		if err != nil {
			return nil, false, err
		}
		size += len(r.Parameters) + len(r.Stdout.Text) + len(r.Stderr.Text)
		page = append(page, *r)
	}
	return page, false, rows.Err()
}
