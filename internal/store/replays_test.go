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

func replays(db *DB) (*Replays, *time.Time) {
	r, now := db.Replays([32]byte{1}), time.Unix(1_800_000_000, 0)
	r.now = func() time.Time { return now }
	return r, &now
}

func begin(t *testing.T, r *Replays, key, body string) (context.Context, *Replay, *api.Outcome) {
	t.Helper()
	ctx, call, earlier, err := r.Begin(t.Context(), "bob", key, "createUser", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return ctx, call, earlier
}

// TestCrashNeverMakesTwice cuts a keyed creation at each place where a crash
// can, and repeats it in the next process.
func TestCrashNeverMakesTwice(t *testing.T) {
	out := api.Outcome{Status: 201, Message: "User created.", Result: json.RawMessage(`{"name":"eve"}`), Location: "/users/eve"}
	for _, c := range []struct {
		cut  string
		upTo int // steps that the first process took
		want api.Code
		made bool // by the first process
	}{
		{"before it made anything", 0, "", false},
		{"after it made something", 1, api.CodeConflict, true},
		{"after it kept the answer", 2, api.CodeSuccess, true},
	} {
		db := openTest(t)
		r, _ := replays(db)
		ctx, call, _ := begin(t, r, "k", "body")
		if c.upTo > 0 {
			if err := creation(ctx, db, "eve"); err != nil {
				t.Fatal(err)
			}
		}
		if c.upTo > 1 {
			if err := call.Finish(ctx, out); err != nil {
				t.Fatal(err)
			}
		}
		// The process dies here: no End, and nothing that it remembered.
		next, _ := replays(db)
		ctx, call, earlier, err := next.Begin(t.Context(), "BOB", "k", "createUser", []byte("body"))
		switch c.want {
		case "":
			if err != nil || earlier != nil {
				t.Fatalf("%s: %v, %v", c.cut, earlier, err)
			}
			if err := errors.Join(creation(ctx, db, "eve"), call.Finish(ctx, out), call.End(ctx)); err != nil {
				t.Errorf("%s: %v", c.cut, err)
			}
		case api.CodeSuccess:
			if err != nil || earlier == nil || earlier.Status != 201 || earlier.Message != out.Message ||
				string(earlier.Result) != string(out.Result) || earlier.Location != out.Location {
				t.Errorf("%s: %+v, %v", c.cut, earlier, err)
			}
		default:
			if !errors.Is(err, &api.Error{Code: c.want}) {
				t.Errorf("%s: %+v, %v", c.cut, earlier, err)
			}
		}
		if n, err := db.Accounts().CountUsers(t.Context()); n != 1 || err != nil {
			t.Errorf("%s: %d users, %v", c.cut, n, err)
		}
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
	if _, _, _, err := r.Begin(t.Context(), "bob", "k", "createUser", []byte("body")); !errors.Is(err, &api.Error{Code: api.CodeConflict}) {
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
	if _, _, _, err := r.Begin(t.Context(), "bob", "k", "createUser", []byte("another body")); !errors.Is(err, &api.Error{Code: api.CodeConflict}) {
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
	if _, _, _, err := r.Begin(t.Context(), "bob", "more", "c", nil); !errors.Is(err, &api.Error{Code: api.CodeTooManyRequests}) {
		t.Errorf("one more: %v", err)
	}
	_, call, _, err := r.Begin(t.Context(), "eve", "more", "c", nil)
	if err != nil {
		t.Fatalf("another user: %v", err)
	}
	*now = now.Add(25 * time.Hour)
	for i := range 3 { // each new key clears some of the old
		_, more, _, err := r.Begin(t.Context(), "bob", fmt.Sprint("new", i), "c", nil)
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
