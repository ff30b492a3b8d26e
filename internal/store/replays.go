package store

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"errors"
	"sync"
	"time"

	"jetstream/internal/api"
)

const (
	// replayLife is how long an answer is kept.
	replayLife = 24 * time.Hour
	// maxReplays bounds the keys of one user that are kept.
	maxReplays = 10_000
	// replaySweep is how many old answers a new key removes at most.
	replaySweep = 100
)

// The states of a kept answer.
const (
	replayBegun = iota // nothing was made; the command may be carried out (again)
	replayMade         // something was made, but what was answered is not known
	replayDone
	replayIntended // something was about to be made outside the database
)

// Replays keeps the answers of commands that were called with an
// Idempotency-Key, so that a call that is repeated makes nothing twice. It is
// safe for concurrent use; there is one for a database.
//
// The order, which a crash may cut anywhere: Begin writes the key; the
// transaction that makes something writes the answer that was announced; what
// the caller saves to report the command is saved with the mark that it was;
// Finish writes the final answer, and the mark where nothing was to be saved. A
// key without answer is carried out again, an answer without mark is reported
// before it is repeated. What is made outside the database is intended before.
// Where something was made and no answer announced, it is a conflict: never
// twice.
type Replays struct {
	db  *DB
	key [32]byte
	now func() time.Time

	mu      sync.Mutex
	running map[replayID]struct{}
}

type replayID struct{ owner, key string }

// Replays returns the view of kept answers. secret keys the fingerprints of
// parameters, among which may be passwords.
func (db *DB) Replays(secret [32]byte) *Replays {
	return &Replays{db: db, key: sha256.Sum256(append([]byte("idempotency"), secret[:]...)), now: time.Now, running: map[replayID]struct{}{}}
}

// Replay is one call that carries a key, between Begin and End. Finish and End
// belong to one goroutine.
type Replay struct {
	r       *Replays
	id      replayID
	command string
	body    []byte
	kept    bool // the answer was kept
	ended   bool

	intended  bool         // by an earlier call
	announced *api.Outcome // the answer, if what is being saved is saved
}

type (
	replayContext    struct{} // what is saved belongs to the key
	reportingContext struct{} // what is saved reports the command
)

// Begin claims owner's key for a call of command with that body. If earlier is
// not nil it is the first answer; with a call it has yet to be reported. Without
// earlier the command must be carried out with the context that Begin returns.
// A call must be ended. Codes: conflict when the key
// was used for something else, is being used now, or was cut off by a crash;
// tooManyRequests when the owner has too many.
func (r *Replays) Begin(ctx context.Context, owner, key string, command *api.Command, body []byte) (_ context.Context, call *Replay, earlier *api.Outcome, err error) {
	mac := hmac.New(sha256.New, r.key[:])
	_, _ = mac.Write(body) // a hash takes all
	call = &Replay{r: r, id: replayID{fold(owner), key}, command: command.Name, body: mac.Sum(nil)}
	if !r.enter(call.id) {
		return ctx, nil, nil, api.Errorf(api.CodeConflict, "a call with this Idempotency-Key is being carried out at this moment; repeat it when that has been answered")
	}
	earlier, reported, err := call.claim(ctx)
	if err != nil || earlier != nil && reported {
		r.leave(call.id)
		return ctx, nil, earlier, err
	}
	call.kept = earlier != nil
	return api.WithKey(context.WithValue(ctx, replayContext{}, call), command, call), call, earlier, nil
}

// fold is how names are compared: SQLite's NOCASE.
func fold(name string) string { return string(bytes.ToLower([]byte(name))) }

func (r *Replays) enter(id replayID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, twice := r.running[id]; twice {
		return false
	}
	r.running[id] = struct{}{}
	return true
}

func (r *Replays) leave(id replayID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, id)
}

// claim finds the first answer, or writes the key.
func (c *Replay) claim(ctx context.Context) (earlier *api.Outcome, reported bool, err error) {
	now := c.r.now()
	oldest := int64(api.TimeOf(now.Add(-replayLife)))
	err = c.r.db.update(ctx, func(t *tx) error {
		row := t.queryRow("SELECT command, body, state, http_status, message, result, location, reported FROM replays WHERE owner = ? AND key = ? AND create_time > ?",
			c.id.owner, c.id.key, oldest)
		var command string
		var body, result []byte
		var state int
		var out api.Outcome
		err = row.Scan(&command, &body, &state, &out.Status, &out.Message, &result, &out.Location, &reported)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return c.insert(t, now, oldest)
		case err != nil:
			return err
		case command != c.command || !hmac.Equal(body, c.body):
			return api.Errorf(api.CodeConflict, "this Idempotency-Key was used for another call (%s); use a new key for each creation", command)
		case state == replayMade:
			return api.Errorf(api.CodeConflict, "the first call with this Idempotency-Key was cut off after it had made something; look for that in the list, and use a new key")
		case state == replayIntended:
			c.intended = true
		case state == replayDone:
			out.Result, out.Masked = result, result
			earlier = &out
		}
		return nil
	})
	return earlier, reported, err
}

func (c *Replay) insert(t *tx, now time.Time, oldest int64) error {
	if _, err := t.exec("DELETE FROM replays WHERE (owner, key) IN (SELECT owner, key FROM replays WHERE create_time <= ? ORDER BY create_time LIMIT ?)",
		oldest, replaySweep); err != nil {
		return err
	}
	var have int
	if err := t.queryRow("SELECT count(*) FROM replays WHERE owner = ? AND create_time > ?", c.id.owner, oldest).Scan(&have); err != nil {
		return err
	}
	if have >= maxReplays {
		return &api.Error{Code: api.CodeTooManyRequests, RetryAfter: time.Hour,
			Message: "too many Idempotency-Keys in 24 hours; use them only for calls that you may have to repeat"}
	}
	// An old one of the same key may still be there.
	_, err := t.exec("INSERT OR REPLACE INTO replays (owner, key, command, body, state, create_time) VALUES (?, ?, ?, ?, ?, ?)",
		c.id.owner, c.id.key, c.command, c.body, replayBegun, int64(api.TimeOf(now)))
	return err
}

// marksKey makes an update on behalf of a call with a key keep the announced
// answer, or mark the key, in the same transaction, when it changes anything; and
// makes one that reports the call mark that.
func marksKey(ctx context.Context, fn func(*tx) error) func(*tx) error {
	if c, ok := ctx.Value(reportingContext{}).(*Replay); ok {
		return func(t *tx) error {
			if err := fn(t); err != nil {
				return err
			}
			_, err := t.exec("UPDATE replays SET reported = 1 WHERE owner = ? AND key = ?", c.id.owner, c.id.key)
			return err
		}
	}
	c, ok := ctx.Value(replayContext{}).(*Replay)
	if !ok {
		return fn
	}
	return func(t *tx) error {
		before, err := t.changes()
		if err != nil {
			return err
		}
		if err := fn(t); err != nil {
			return err
		}
		after, err := t.changes()
		if err != nil || after == before {
			return err
		}
		if c.announced != nil {
			return c.keep(t, *c.announced, false)
		}
		return c.mark(t, replayMade)
	}
}

// keep writes the answer.
func (c *Replay) keep(t *tx, out api.Outcome, reported bool) error {
	_, err := t.exec("UPDATE replays SET state = ?, http_status = ?, message = ?, result = ?, location = ?, reported = ? WHERE owner = ? AND key = ?",
		replayDone, out.Status, out.Message, []byte(out.Result), out.Location, reported, c.id.owner, c.id.key)
	return err
}

func (c *Replay) mark(t *tx, state int) error {
	_, err := t.exec("UPDATE replays SET state = ? WHERE owner = ? AND key = ?", state, c.id.owner, c.id.key)
	return err
}

// Announce implements api.Key.
func (c *Replay) Announce(out api.Outcome) { c.announced = &out }

// Intend implements api.Key.
func (c *Replay) Intend(ctx context.Context) error {
	return c.r.db.update(withoutKey(ctx), func(t *tx) error { return c.mark(t, replayIntended) })
}

// Intended implements api.Key.
func (c *Replay) Intended() bool { return c.intended }

// Reporting is a context whose updates report the call: they mark, in the same
// transaction, that it was reported.
func (c *Replay) Reporting(ctx context.Context) context.Context {
	return context.WithValue(ctx, reportingContext{}, c)
}

// withoutKey is a context whose updates mark no key, and which nobody cancels.
func withoutKey(ctx context.Context) context.Context {
	ctx = context.WithValue(context.WithoutCancel(ctx), reportingContext{}, nil)
	return context.WithValue(ctx, replayContext{}, nil)
}

// changes counts the rows that the writer has changed so far.
func (t *tx) changes() (n int64, err error) {
	return n, t.queryRow("SELECT total_changes()").Scan(&n)
}

// Finish keeps the answer. Call it once the command was reported, before the
// answer goes out.
func (c *Replay) Finish(ctx context.Context, out api.Outcome) error {
	err := c.r.db.update(withoutKey(ctx), func(t *tx) error { return c.keep(t, out, true) })
	c.kept = c.kept || err == nil
	return err
}

// End lets go of the key. Call it at the end whatever became of the command: a
// key under which nothing was made is free again. A second End does nothing.
func (c *Replay) End(ctx context.Context) error {
	if c.ended {
		return nil
	}
	c.ended = true
	defer c.r.leave(c.id)
	if c.kept {
		return nil
	}
	return c.r.db.update(withoutKey(ctx), func(t *tx) error {
		_, err := t.exec("DELETE FROM replays WHERE owner = ? AND key = ? AND state IN (?, ?)", c.id.owner, c.id.key, replayBegun, replayIntended)
		return err
	})
}
