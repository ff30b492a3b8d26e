package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// Runs is the database as the trigger engine sees it: the queue and the records
// of runs. It implements triggers.Store.
type Runs struct{ db *DB }

// Runs returns the view of trigger runs.
func (db *DB) Runs() *Runs { return &Runs{db} }

var _ triggers.Store = (*Runs)(nil)

// runFixed is what a run's row weighs beside its texts, in bytes.
const runFixed = 512

// maxPageBytes bounds the texts of one page of a list: a page ends early
// rather than hold a thousand large runs in memory.
const maxPageBytes = 8 << 20

// A queued run has values in these columns; the others have defaults.
const (
	insertRun        = "INSERT INTO runs (run_id, status, urgent, event, event_id, attempt, event_time, queue_time, depth, request_id, user, transfer_id, subject, lane, process, sample, lost, parameters) VALUES ROWS"
	insertRunColumns = 18
)

// insertRuns writes runs in their order and sets their Seq.
func (w *writer) insertRuns(runs []*triggers.Run) error {
	last, err := insertMany(w.exec, &w.runInserts, runs, func(row []any, r *triggers.Run) []any {
		return append(row, r.RunID, string(r.Status), r.Urgent, r.Event, r.EventID, r.Attempt, int64(r.EventTime), int64(r.QueueTime),
			r.Depth, r.RequestID, r.User, r.TransferID, r.Subject, r.Key, r.Process, r.Sample, r.Lost, string(r.Parameters))
	})
	if err != nil {
		return err
	}
	for i, r := range runs {
		r.Seq = last - int64(len(runs)-1-i)
	}
	return nil
}

const markRun = `UPDATE runs SET status = ?, bytes = ?, start_time = ?, end_time = ?, exit_code = ?, signal = ?,
	message = ?, lost = ?, stdout = ?, stdout_dropped = ?, stderr = ?, stderr_dropped = ? WHERE seq = ?`

func (t *tx) markRun(r *triggers.Run) error {
	bytes := runFixed + len(r.Parameters) + len(r.ErrorMessage) + len(r.Stdout.Text) + len(r.Stderr.Text)
	_, err := t.exec(markRun, string(r.Status), bytes, int64(r.StartTime), int64(r.EndTime), r.ExitCode, r.Signal,
		r.ErrorMessage, r.Lost, r.Stdout.Text, r.Stdout.DroppedBytes, r.Stderr.Text, r.Stderr.DroppedBytes, r.Seq)
	if err != nil {
		return err
	}
	return t.runChanged(r)
}

// Update implements triggers.Store.
func (s *Runs) Update(ctx context.Context, fn func(triggers.Tx) error) error {
	return s.db.update(ctx, func(t *tx) error { return fn(t) })
}

// Mark implements triggers.Store.
func (s *Runs) Mark(ctx context.Context, r *triggers.Run) error {
	err := s.db.updateNoSync(ctx, func(t *tx) error { return t.markRun(r) })
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
func (s *Runs) DropLaunches(ctx context.Context, process, message string) (n, lost int, err error) {
	err = s.db.update(ctx, func(t *tx) error {
		rows, err := t.query(selectRun+"WHERE "+isQueued+" AND event = 'launch' AND process <> ?", process)
		if err != nil {
			return err
		}
		dropped, err := scanAll(rows, scanRun)
		for _, r := range dropped {
			r.Status, r.EndTime, r.ErrorMessage = triggers.StatusCancelled, api.Now(), message
			lost = max(lost, r.Lost)
			err = errors.Join(err, t.markRun(r))
		}
		n = len(dropped)
		return err
	})
	return n, lost, err
}

// What pruning looks for, in the index of ended runs alone: what they weigh, the
// newest one that is too many, and the newest one that is too heavy, or 0.
const (
	endedRuns      = "SELECT count(*), coalesce(sum(bytes), 0) FROM runs WHERE end_time > 0"
	newestTooMany  = "SELECT coalesce((SELECT seq FROM runs WHERE end_time > 0 ORDER BY seq DESC LIMIT 1 OFFSET ?), 0)"
	newestTooHeavy = `SELECT coalesce(max(seq), 0) FROM (SELECT seq, sum(bytes) OVER (ORDER BY seq DESC ROWS UNBOUNDED PRECEDING) AS total
		FROM runs WHERE end_time > 0) WHERE total > ?`
)

// Prune implements triggers.Store.
func (s *Runs) Prune(ctx context.Context, keep int, maxBytes int64) error {
	// Read first: nothing is written when all may stay.
	var count, bytes, tooMany, tooHeavy int64
	if err := s.db.readers.queryRow(ctx, endedRuns).Scan(&count, &bytes); err != nil {
		return err
	}
	if count > int64(keep) {
		if err := s.db.readers.queryRow(ctx, newestTooMany, keep).Scan(&tooMany); err != nil {
			return err
		}
	}
	if bytes > maxBytes {
		if err := s.db.readers.queryRow(ctx, newestTooHeavy, maxBytes).Scan(&tooHeavy); err != nil {
			return err
		}
	}
	if tooMany == 0 && tooHeavy == 0 {
		return nil
	}
	return s.db.updateNoSync(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM runs WHERE end_time > 0 AND seq <= ?", max(tooMany, tooHeavy))
		return err
	})
}

const selectRun = `SELECT seq, urgent, run_id, status, event, event_id, attempt, event_time, queue_time, start_time, end_time,
	exit_code, signal, depth, request_id, user, transfer_id, subject, lane, process, sample, lost, message,
	parameters, stdout, stdout_dropped, stderr, stderr_dropped FROM runs `

func scanRun(row scanner) (*triggers.Run, error) {
	var r triggers.Run
	err := row.Scan(&r.Seq, &r.Urgent, &r.RunID, &r.Status, &r.Event, &r.EventID, &r.Attempt, &r.EventTime, &r.QueueTime,
		&r.StartTime, &r.EndTime, &r.ExitCode, &r.Signal, &r.Depth, &r.RequestID, &r.User,
		&r.TransferID, &r.Subject, &r.Key, &r.Process, &r.Sample, &r.Lost, &r.ErrorMessage, (*[]byte)(&r.Parameters),
		&r.Stdout.Text, &r.Stdout.DroppedBytes, &r.Stderr.Text, &r.Stderr.DroppedBytes)
	if err != nil {
		return nil, err
	}
	return &r, nil
}

const givenUp = selectRun + `WHERE lost >= 5 AND status = 'failed'
	AND NOT EXISTS (SELECT 1 FROM runs later WHERE later.event_id = runs.event_id AND later.attempt > 1 AND later.attempt > runs.attempt)
	ORDER BY seq LIMIT 10`

// GivenUp implements triggers.Store.
func (s *Runs) GivenUp(ctx context.Context) ([]*triggers.Run, error) {
	rows, err := s.db.readers.query(ctx, givenUp)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, scanRun)
}

// Running implements triggers.Store.
func (s *Runs) Running(ctx context.Context) ([]*triggers.Run, error) {
	rows, err := s.db.readers.query(ctx, selectRun+"WHERE end_time = 0 AND status = 'running' ORDER BY seq")
	if err != nil {
		return nil, err
	}
	running, err := scanAll(rows, scanRun)
	if err != nil {
		return nil, err
	}
	return running, s.db.processes.fill(running)
}

// Run implements triggers.Store.
func (s *Runs) Run(ctx context.Context, runID string) (triggers.Run, error) {
	r, err := scanRun(s.db.readers.queryRow(ctx, selectRun+"WHERE run_id = ?", runID))
	if errors.Is(err, sql.ErrNoRows) {
		return triggers.Run{}, noRun(runID)
	}
	if err != nil {
		return triggers.Run{}, err
	}
	return *r, nil
}

// ofTransfer says too what the partial index has, else it is not used.
const ofTransfer = "transfer_id = ? AND transfer_id <> ''"

// Runs implements triggers.Store.
func (s *Runs) Runs(ctx context.Context, f triggers.Filter) (page []triggers.Run, more bool, err error) {
	var where []string
	var args []any
	only := func(condition string, arg any) {
		where, args = append(where, condition), append(args, arg)
	}
	if f.Before > 0 {
		only("seq < ?", f.Before)
	}
	if f.Event != "" {
		only("event = ?", f.Event)
	}
	if f.Status != "" {
		only("status = ?", string(f.Status))
	}
	if f.User != "" {
		only("user = ?", f.User)
	}
	if f.TransferID != "" {
		only(ofTransfer, f.TransferID)
	}
	if f.IDPart != "" {
		where, args = append(where, idPart("runs.run_id")), append(args, f.IDPart, f.IDPart, f.IDPart, f.IDPart)
	}
	if f.Since != 0 {
		only("queue_time >= ?", int64(f.Since))
	}
	query := selectRun
	if len(where) > 0 {
		query += "WHERE " + strings.Join(where, " AND ")
	}
	rows, err := s.db.readers.query(ctx, query+" ORDER BY seq DESC LIMIT ?", append(args, f.Limit+1)...)
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
