package store

import (
	"errors"
	"slices"
	"testing"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// newRun is a run to be inserted.
func newRun(parameters string) *triggers.Run {
	return &triggers.Run{RunID: api.NewID(), Event: "on.ls", EventID: api.NewID(), Attempt: 1, Status: triggers.StatusQueued,
		Parameters: []byte(parameters), QueueTime: api.Now(), EventTime: api.Now(), Key: "user:alice"}
}

// inserting is an update that inserts runs and then fails with failure, if any.
func inserting(failure error, runs ...*triggers.Run) func(*tx) error {
	return func(tx *tx) error {
		for _, r := range runs {
			if err := tx.InsertRun(r); err != nil {
				return err
			}
		}
		return failure
	}
}

// commit carries out updates in one transaction and returns their outcomes. No
// other update may be under way.
func commit(db *DB, functions ...func(*tx) error) (outcomes []error) {
	var batch []*update
	for _, fn := range functions {
		u := &update{fn: fn}
		u.tx.db = db
		batch = append(batch, u)
	}
	db.writer.commit(batch)
	for _, u := range batch {
		outcomes = append(outcomes, u.err)
	}
	return outcomes
}

// queue lists the ids of all runs in their order.
func queue(t *testing.T, db *DB) []string {
	t.Helper()
	rows, err := db.readers.query(t.Context(), "SELECT run_id FROM runs ORDER BY seq")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := scanAll(rows, scanID)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func ids(runs ...*triggers.Run) (ids []string) {
	for _, r := range runs {
		ids = append(ids, r.RunID)
	}
	return ids
}

// TestRunsOfABatchKeepTheirOrder: runs that are inserted together stand in the
// order of their updates, each under the number that it got; those of an update
// that fails are not there.
func TestRunsOfABatchKeepTheirOrder(t *testing.T) {
	db := openTest(t)
	failed := errors.New("no")
	var want []*triggers.Run
	run := func() *triggers.Run {
		want = append(want, newRun("{}"))
		return want[len(want)-1]
	}
	batch := []func(*tx) error{
		inserting(nil, run()), inserting(failed, newRun("{}")), inserting(nil, run(), run(), run()), inserting(failed, newRun("{}"), newRun("{}")),
	}
	for range 70 { // more than fit into one statement
		batch = append(batch, inserting(nil, run()))
	}
	for i, err := range commit(db, batch...) {
		if fails := i == 1 || i == 3; errors.Is(err, failed) != fails {
			t.Errorf("update %d ended with %v", i, err)
		}
	}
	if err := commit(db, inserting(nil, run(), run()))[0]; err != nil { // alone
		t.Fatal(err)
	}
	if got := queue(t, db); !slices.Equal(got, ids(want...)) {
		t.Errorf("%d runs wait, want %d in their order:\n%q\n%q", len(got), len(want), got, ids(want...))
	}
	for i, r := range want {
		if r.Seq != int64(i+1) {
			t.Errorf("run %d got number %d", i+1, r.Seq)
		}
	}
}

// countRuns is an update that counts the runs which it finds.
func countRuns(counts *[]int) func(*tx) error {
	return func(tx *tx) error {
		var n int
		err := tx.queryRow("SELECT count(*) FROM runs").Scan(&n)
		*counts = append(*counts, n)
		return err
	}
}

// TestStatementsFindWhatWasInserted before them, by the updates before it in
// the commit and by the update itself.
func TestStatementsFindWhatWasInserted(t *testing.T) {
	db := openTest(t)
	first, second, third := newRun("{}"), newRun("{}"), newRun("{}")
	var counts []int
	count := countRuns(&counts)
	outcomes := commit(db, inserting(nil, first), func(tx *tx) error {
		return errors.Join(count(tx), tx.InsertRun(second), count(tx), tx.InsertRun(third))
	}, func(tx *tx) error { // is undone
		return errors.Join(tx.InsertRun(newRun("{}")), count(tx), errors.New("no"))
	}, count)
	if outcomes[0] != nil || outcomes[1] != nil || outcomes[2] == nil || outcomes[3] != nil {
		t.Fatal(outcomes)
	}
	if want := []int{1, 2, 4, 3}; !slices.Equal(counts, want) {
		t.Errorf("the updates found %d runs, want %d", counts, want)
	}
	if got := queue(t, db); !slices.Equal(got, ids(first, second, third)) {
		t.Errorf("%q wait", got)
	}
}

// TestARunThatCannotBeSavedFailsAlone, whoever shares its statement.
func TestARunThatCannotBeSavedFailsAlone(t *testing.T) {
	db := openTest(t)
	var batch []func(*tx) error
	var want []*triggers.Run
	for range 8 {
		want = append(want, newRun("{}"))
		batch = append(batch, inserting(nil, want[len(want)-1]))
	}
	twin := newRun("{}")
	twin.RunID = want[2].RunID
	batch[5] = inserting(nil, twin)
	want = slices.Delete(want, 5, 6)
	for i, err := range commit(db, batch...) {
		if (err != nil) != (i == 5) {
			t.Errorf("update %d ended with %v", i, err)
		}
	}
	if got := queue(t, db); !slices.Equal(got, ids(want...)) {
		t.Errorf("%q wait, want %q", got, ids(want...))
	}
	for i, r := range want {
		if r.Seq != int64(i+1) {
			t.Errorf("run %d got number %d", i+1, r.Seq)
		}
	}
	if err := commit(db, inserting(nil, twin))[0]; err == nil { // alone
		t.Error("it was saved")
	}
}

// rollBackBadRuns has SQLite give up the whole transaction by itself where an
// event is called bad, as it may on some faults of the disk.
func rollBackBadRuns(t *testing.T, db *DB) (bad *triggers.Run) {
	t.Helper()
	err := db.update(t.Context(), func(tx *tx) error {
		_, err := tx.exec("CREATE TRIGGER full BEFORE INSERT ON runs WHEN new.event = 'bad' BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	bad = newRun("{}")
	bad.Event = "bad"
	return bad
}

// TestABatchThatSQLiteRollsBackFailsWhole: all updates have failed, and nothing
// of them is saved.
func TestABatchThatSQLiteRollsBackFailsWhole(t *testing.T) {
	db := openTest(t)
	bad := rollBackBadRuns(t, db)
	var counts []int
	for _, batch := range [][]func(*tx) error{
		{inserting(nil, newRun("{}")), inserting(nil, bad), inserting(nil, newRun("{}"))},
		{inserting(nil, newRun("{}")), inserting(nil, newRun("{}"), bad), inserting(nil, newRun("{}"))},
		{inserting(nil, newRun("{}")), inserting(nil, bad), countRuns(&counts), inserting(nil, newRun("{}"))},
		{inserting(nil, newRun("{}"), bad)},
	} {
		for i, err := range commit(db, batch...) {
			if err == nil {
				t.Errorf("of %d updates number %d is said to be saved", len(batch), i)
			}
		}
		if got := queue(t, db); len(got) != 0 {
			t.Fatalf("of %d updates %d are saved", len(batch), len(got))
		}
	}
	if err := commit(db, inserting(nil, newRun("{}")))[0]; err != nil { // it can go on
		t.Error(err)
	}
}

// TestAnUpdateEndsWithItsFirstFailure, also where its function goes on and
// says that all is well: nothing that follows is saved, even where SQLite has
// ended the transaction.
func TestAnUpdateEndsWithItsFirstFailure(t *testing.T) {
	db := openTest(t)
	bad := rollBackBadRuns(t, db)
	for _, others := range []int{0, 2} {
		batch := []func(*tx) error{func(tx *tx) error {
			var n int
			_ = tx.InsertRun(bad)
			_ = tx.queryRow("SELECT count(*) FROM runs").Scan(&n)
			if _, err := tx.exec(setMeta, "a", "b"); err == nil {
				t.Error("a statement ran after the failure")
			}
			return nil
		}}
		for range others {
			batch = append(batch, inserting(nil, newRun("{}")))
		}
		for i, err := range commit(db, batch...) {
			if err == nil {
				t.Errorf("beside %d others update %d is said to be saved", others, i)
			}
		}
		if v, err := db.Meta(t.Context(), "a"); v != "" || err != nil {
			t.Errorf("beside %d others %q was saved (%v)", others, v, err)
		}
	}
}
