package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// isQueued is the condition of runs in the queue; end_time has it use the index
// of what has not ended.
const isQueued = "end_time = 0 AND status = 'queued'"

const firstQueued = selectRun + "WHERE " + isQueued + " ORDER BY urgent DESC, seq LIMIT ?"

// Next implements triggers.Store.
func (s *Runs) Next(ctx context.Context) (*triggers.Run, error) {
	few, err := s.NextFew(ctx, 1)
	if err != nil || len(few) == 0 {
		return nil, err
	}
	return few[0], nil
}

// NextFew implements triggers.Store.
func (s *Runs) NextFew(ctx context.Context, limit int) (few []*triggers.Run, err error) {
	rows, err := s.db.readers.query(ctx, firstQueued, limit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for size := 0; size < maxFewBytes && rows.Next(); {
		r, err := scanRun(rows)
		if err != nil {
			return nil, err
		}
		size += len(r.Parameters)
		few = append(few, r)
	}
	return few, rows.Err()
}

// maxFewBytes ends NextFew early where parameters are large.
const maxFewBytes = 1 << 20

// NextOf implements triggers.Store.
func (s *Runs) NextOf(ctx context.Context, key string) (*triggers.Run, error) {
	return s.queued(ctx, selectRun+"WHERE "+isQueued+" AND lane = ? ORDER BY urgent DESC, seq LIMIT 1", key)
}

// UseLanes implements triggers.Store.
func (s *Runs) UseLanes(ctx context.Context, use bool) error {
	return s.db.update(ctx, func(t *tx) error {
		query := "DROP INDEX IF EXISTS runs_lane"
		if use {
			query = "CREATE INDEX IF NOT EXISTS runs_lane ON runs (lane, urgent DESC, seq) WHERE end_time = 0"
		}
		_, err := t.exec(query)
		return err
	})
}

// queued reads the one run of a query, nil for none.
func (s *Runs) queued(ctx context.Context, query string, args ...any) (*triggers.Run, error) {
	r, err := scanRun(s.db.readers.queryRow(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return r, err
}

// nextBehind looks through the small index only: it has to pass by the runs
// of the busy lanes.
const nextBehind = selectRun + "WHERE seq = (SELECT seq FROM runs WHERE " + isQueued + ` AND urgent = ? AND seq > ?
	AND lane NOT IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT 1)`

// NextBehind implements triggers.Store.
func (s *Runs) NextBehind(ctx context.Context, place triggers.Place, busy []string) (*triggers.Run, triggers.Place, error) {
	lanes, err := json.Marshal(append([]string{}, busy...))
	if err != nil {
		return nil, place, err
	}
	// Whatever is queued from here on gets a higher number.
	var last int64
	if err := s.db.readers.queryRow(ctx, "SELECT coalesce(max(seq), 0) FROM runs").Scan(&last); err != nil {
		return nil, place, err
	}
	for at := place; ; {
		r, err := s.queued(ctx, nextBehind, at.Urgent, at.Seq, string(lanes))
		if err != nil {
			return nil, place, err
		}
		if r != nil {
			return r, r.Place(), nil
		}
		var lower sql.NullInt64
		err = s.db.readers.queryRow(ctx, "SELECT max(urgent) FROM runs WHERE "+isQueued+" AND urgent < ?", at.Urgent).Scan(&lower)
		if err != nil {
			return nil, place, err
		}
		if !lower.Valid {
			end := triggers.Place{Seq: last}
			if end.Before(place) {
				end = place
			}
			return nil, end, nil
		}
		at = triggers.Place{Urgent: lower.Int64}
	}
}

// Waiting implements triggers.Store.
func (s *Runs) Waiting(ctx context.Context) (n int, err error) {
	err = s.db.readers.queryRow(ctx, "SELECT count(*) FROM runs WHERE "+isQueued).Scan(&n)
	return n, err
}

const waitingBytes = "SELECT user, sum(octet_length(parameters)) FROM runs WHERE " + isQueued + " AND substr(event, 1, length(?1)) = ?1 GROUP BY user"

// WaitingBytes implements triggers.Store.
func (s *Runs) WaitingBytes(ctx context.Context, prefix string) (sizes map[string]int64, err error) {
	rows, err := s.db.readers.query(ctx, waitingBytes, prefix)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	sizes = map[string]int64{}
	for rows.Next() {
		var user string
		var n int64
		if err := rows.Scan(&user, &n); err != nil {
			return nil, err
		}
		sizes[user] = n
	}
	return sizes, rows.Err()
}

// oldestQueued looks at two runs: what goes first was not always queued first,
// as an interrupted event's next attempt is new.
const oldestQueued = "SELECT coalesce(min(queue_time), 0) FROM (" +
	"SELECT * FROM (SELECT queue_time FROM runs WHERE " + isQueued + " ORDER BY urgent DESC, seq LIMIT 1) UNION ALL " +
	"SELECT * FROM (SELECT queue_time FROM runs WHERE " + isQueued + " AND urgent = 0 ORDER BY seq LIMIT 1))"

// Oldest implements triggers.Store.
func (s *Runs) Oldest(ctx context.Context) (t api.Time, err error) {
	err = s.db.readers.queryRow(ctx, oldestQueued).Scan(&t)
	return t, err
}

// Start implements triggers.Store.
func (s *Runs) Start(ctx context.Context, r *triggers.Run) (started bool, err error) {
	err = s.db.updateNoSync(ctx, func(t *tx) error {
		started, err = t.startRun(r)
		return err
	})
	return started && err == nil, err
}

// EndAndStart implements triggers.Store.
func (s *Runs) EndAndStart(ctx context.Context, ended, next *triggers.Run) (started bool, err error) {
	err = s.db.updateNoSync(ctx, func(t *tx) error {
		if err := t.markRun(ended); err != nil {
			return err
		}
		started, err = t.startRun(next)
		return err
	})
	if err != nil {
		return false, err
	}
	s.db.processes.forget(ended.RunID)
	return started, nil
}

const startRun = "UPDATE runs SET status = ?, start_time = ? WHERE seq = ? AND status = 'queued'"

// startRun marks a run that is still queued; false when it is not.
func (t *tx) startRun(r *triggers.Run) (started bool, err error) {
	n, err := t.execCount(startRun, string(r.Status), int64(r.StartTime), r.Seq)
	if err != nil || n == 0 {
		return false, err
	}
	return true, t.runChanged(r)
}

// MarkProcess implements triggers.Store.
func (s *Runs) MarkProcess(r *triggers.Run) error { return s.db.processes.save(r) }

// Cancel implements triggers.Store.
func (s *Runs) Cancel(ctx context.Context, runID, message string) (cancelled bool, err error) {
	err = s.db.update(ctx, func(t *tx) error {
		r, err := scanRun(t.queryRow(selectRun+"WHERE run_id = ? AND "+isQueued, runID))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		cancelled = true
		r.Status, r.EndTime, r.ErrorMessage = triggers.StatusCancelled, api.Now(), message
		return t.markRun(r)
	})
	return cancelled && err == nil, err
}

// CancelRunning implements triggers.Store.
func (s *Runs) CancelRunning(ctx context.Context, runID, message string) (saved bool, err error) {
	err = s.db.update(ctx, func(t *tx) error {
		n, err := t.execCount("UPDATE runs SET message = ? WHERE run_id = ? AND status = 'running'", message, runID)
		saved = n > 0
		return err
	})
	return saved && err == nil, err
}

const lastAttempt = "SELECT attempt, status FROM runs WHERE event_id = ? AND attempt > 1 ORDER BY attempt DESC LIMIT 1"

// Retry implements triggers.Store.
func (s *Runs) Retry(ctx context.Context, runID string, again func(triggers.Run) *triggers.Run) (triggers.Run, error) {
	var made *triggers.Run
	err := s.db.update(ctx, func(t *tx) error {
		r, err := scanRun(t.queryRow(selectRun+"WHERE run_id = ?", runID))
		if errors.Is(err, sql.ErrNoRows) {
			return noRun(runID)
		}
		if err != nil {
			return err
		}
		// Attempts are made one after the other, so that an open one is the
		// last: this one, or one that was made from it.
		last, status := r.Attempt, string(r.Status)
		err = t.queryRow(lastAttempt, r.EventID).Scan(&last, &status)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if status == string(triggers.StatusQueued) || status == string(triggers.StatusRunning) {
			return api.Errorf(api.CodeConflict, "attempt %d at this event is %s; wait for its end or cancel it first", last, status)
		}
		r.Attempt = last
		made = again(*r)
		return t.InsertRun(made)
	})
	if err != nil {
		return triggers.Run{}, err
	}
	return *made, nil
}

func noRun(runID string) error {
	return api.Errorf(api.CodeNotFound, "trigger run %.64q does not exist; it may have been removed with the oldest ones", runID)
}

// pausedFact is the name under which a pause is kept.
const pausedFact = "triggersPaused"

// Paused implements triggers.Store.
func (s *Runs) Paused(ctx context.Context) (bool, error) {
	v, err := s.db.Meta(ctx, pausedFact)
	return v == "yes", err
}

// SetPaused implements triggers.Store.
func (s *Runs) SetPaused(ctx context.Context, paused bool) error {
	value := "no"
	if paused {
		value = "yes"
	}
	return s.db.SetMeta(ctx, pausedFact, value)
}

const outcomes = "SELECT event, status, count(*), max(seq) FROM runs WHERE end_time > 0 GROUP BY event, status"

// Outcomes implements triggers.Store.
func (s *Runs) Outcomes(ctx context.Context) ([]triggers.Outcome, error) {
	rows, err := s.db.readers.query(ctx, outcomes)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(row scanner) (o triggers.Outcome, err error) {
		return o, row.Scan(&o.Event, &o.Status, &o.Count, &o.LastSeq)
	})
}
