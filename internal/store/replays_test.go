package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// creation is what a keyed command does: it makes a user.
func creation(ctx context.Context, db *DB, name string) error {
	return db.Accounts().InsertUser(ctx, account.User{Name: name, Hash: "h"})
}

type userName struct {
	Name string `json:"name" doc:"Name"`
}

var createUser = api.Define(api.Spec{
	Name: "createUser", Method: "POST", Path: "/users", Status: 201, Message: "User created.", Location: "/users/{name}", Summary: "Test",
}, func(context.Context, api.Empty) (userName, error) { panic("not carried out") })

func replays(db *DB) (*Replays, *time.Time) {
	r, now := db.Replays([32]byte{1}), time.Unix(1_800_000_000, 0)
	r.now = func() time.Time { return now }
	return r, &now
}

func begin(t *testing.T, r *Replays, key, body string) (context.Context, *Replay, *api.Outcome) {
	t.Helper()
	ctx, call, earlier, err := r.Begin(t.Context(), "bob", key, createUser, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return ctx, call, earlier
}

// TestCrashNeverMakesTwice cuts a keyed creation at each place where a crash
// can, and repeats it in the next process.
func TestCrashNeverMakesTwice(t *testing.T) {
	out := api.Outcome{Status: 201, Message: "User created.", Result: json.RawMessage(`{"name":"eve"}`), Location: "/users/eve"}
	steps := []struct {
		name string
		take func(ctx context.Context, db *DB, call *Replay) error
		// What the next call with the key finds when the process has died after
		// this step.
		answered, reported, intended bool
		made                         int
	}{
		{"Begin", func(context.Context, *DB, *Replay) error { return nil }, false, false, false, 0},
		{"Intend", func(ctx context.Context, _ *DB, _ *Replay) error { return api.Intend(ctx) }, false, false, true, 0},
		{"make", func(ctx context.Context, db *DB, _ *Replay) error {
			api.Announce(ctx, account.User{Name: "eve"}) // of another type: not the answer
			api.Announce(ctx, userName{"eve"})
			return creation(ctx, db, "eve")
		}, true, false, false, 1},
		{"report", func(_ context.Context, db *DB, call *Replay) error {
			return creation(call.Reporting(t.Context()), db, "event") // stands for the queued run
		}, true, true, false, 2},
		{"Finish", func(ctx context.Context, _ *DB, call *Replay) error { return call.Finish(ctx, out) }, true, true, false, 2},
		{"End", func(ctx context.Context, _ *DB, call *Replay) error { return call.End(ctx) }, true, true, false, 2},
	}
	for died, at := range steps {
		db := openTest(t)
		r, _ := replays(db)
		ctx, call, _ := begin(t, r, "k", "body")
		for _, s := range steps[:died+1] {
			if err := s.take(ctx, db, call); err != nil {
				t.Fatal(err)
			}
		}
		// The process dies here with all that it remembered.
		next, _ := replays(db)
		ctx, call, earlier, err := next.Begin(t.Context(), "BOB", "k", createUser, []byte("body"))
		if err != nil || (earlier != nil) != at.answered || (call == nil) != at.reported || api.Intended(ctx) != at.intended {
			t.Fatalf("after %s: earlier %v, call %v, intended %t, %v", at.name, earlier, call, api.Intended(ctx), err)
		}
		if earlier != nil && (earlier.Status != 201 || earlier.Message != out.Message ||
			string(earlier.Result) != string(out.Result) || earlier.Location != out.Location) {
			t.Errorf("after %s: %+v", at.name, earlier)
		}
		if n, err := db.Accounts().CountUsers(t.Context()); n != at.made || err != nil {
			t.Errorf("after %s: %d users, %v", at.name, n, err)
		}
		// The repeated call takes the rest of the steps, and another one nothing.
		rest := steps[died+1:]
		if call == nil {
			continue
		}
		for _, s := range rest {
			if err := s.take(ctx, db, call); err != nil {
				t.Fatalf("after %s, repeated %s: %v", at.name, s.name, err)
			}
		}
		if _, call, earlier := begin(t, next, "k", "body"); call != nil || earlier == nil {
			t.Errorf("after %s, the third call: %v, %v", at.name, earlier, call)
		}
		if n, err := db.Accounts().CountUsers(t.Context()); n != 2 || err != nil {
			t.Errorf("after %s, in the end: %d users, %v", at.name, n, err)
		}
	}
}

// TestWhatWasMadeWithoutAnAnswer is not made again.
func TestWhatWasMadeWithoutAnAnswer(t *testing.T) {
	db := openTest(t)
	r, _ := replays(db)
	ctx, _, _ := begin(t, r, "k", "body")
	if err := creation(ctx, db, "eve"); err != nil {
		t.Fatal(err)
	}
	next, _ := replays(db)
	if _, _, _, err := next.Begin(t.Context(), "bob", "k", createUser, []byte("body")); !errors.Is(err, &api.Error{Code: api.CodeConflict}) {
		t.Errorf("answered %v", err)
	}
}

func TestReplayLivesADay(t *testing.T) {
	db := openTest(t)
	r, now := replays(db)
	ctx, call, _ := begin(t, r, "k", "body")
	if err := errors.Join(call.Finish(ctx, api.Outcome{Status: 201, Result: json.RawMessage(`{}`)}), call.End(ctx), call.End(ctx)); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(24*time.Hour - time.Second)
	if _, _, earlier := begin(t, r, "k", "body"); earlier == nil {
		t.Error("forgotten too early")
	}
	*now = now.Add(time.Second)
	if _, call, earlier := begin(t, r, "k", "another"); earlier != nil {
		t.Error("kept too long")
	} else if err := call.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := db.readers.queryRow(t.Context(), "SELECT count(*) FROM replays").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are left (%v)", left, err)
	}
}

// TestWhatEndsWithoutAnythingFreesItsKey, and what is saved beside the
// creation, such as the command's event, does not hold it.
func TestWhatEndsWithoutAnythingFreesItsKey(t *testing.T) {
	db := openTest(t)
	r, _ := replays(db)
	ctx, call, _ := begin(t, r, "k", "body")
	if _, _, _, err := r.Begin(t.Context(), "bob", "k", createUser, []byte("body")); !errors.Is(err, &api.Error{Code: api.CodeConflict}) {
		t.Errorf("while it is carried out: %v", err)
	}
	if _, other, earlier := begin(t, r, "k2", "body"); earlier != nil || other.End(t.Context()) != nil {
		t.Error("another key waits")
	}
	boom := errors.New("boom")
	err := db.update(ctx, func(tx *tx) error {
		if _, err := tx.exec("INSERT INTO meta (name, value) VALUES ('x', 'y')"); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if err := db.update(ctx, func(*tx) error { return nil }); err != nil { // looks, and changes nothing
		t.Fatal(err)
	}
	if err := call.End(ctx); err != nil {
		t.Fatal(err)
	}
	if ctx, call, _ = begin(t, r, "k", "another body"); call == nil {
		t.Fatal("the key is not free")
	}
	if err := errors.Join(creation(ctx, db, "eve"), call.End(ctx)); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := r.Begin(t.Context(), "bob", "k", createUser, []byte("another body")); !errors.Is(err, &api.Error{Code: api.CodeConflict}) {
		t.Errorf("after something was made whose answer was lost: %v", err)
	}
}

func TestKeysOfOneUserAreBounded(t *testing.T) {
	db := openTest(t)
	r, now := replays(db)
	if err := db.update(t.Context(), func(tx *tx) error {
		_, err := tx.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO replays (owner, key, command, body, state, create_time) SELECT 'bob', 'k' || i, 'c', x'', 2, ? FROM n`,
			maxReplays, int64(api.TimeOf(*now)))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := r.Begin(t.Context(), "bob", "more", createUser, nil); !errors.Is(err, &api.Error{Code: api.CodeTooManyRequests}) {
		t.Errorf("one more: %v", err)
	}
	_, call, _, err := r.Begin(t.Context(), "eve", "more", createUser, nil)
	if err != nil {
		t.Fatalf("another user: %v", err)
	}
	*now = now.Add(25 * time.Hour)
	for i := range 3 { // each new key clears some of the old
		_, more, _, err := r.Begin(t.Context(), "bob", fmt.Sprint("new", i), createUser, nil)
		if err != nil || more.End(t.Context()) != nil {
			t.Fatal(err)
		}
	}
	if err := call.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := db.readers.queryRow(t.Context(), "SELECT count(*) FROM replays").Scan(&left); err != nil || left > maxReplays-3*replaySweep+1 {
		t.Errorf("%d rows are left (%v)", left, err)
	}
}
