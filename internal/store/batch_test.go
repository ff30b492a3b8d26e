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
func inserting(failure error, runs ...*triggers.Run) *request {
	return &request{done: make(chan error, 1), fn: func(tx *tx) error {
		for _, r := range runs {
			if err := tx.InsertRun(r); err != nil {
				return err
			}
		}
		return failure
	}}
}

// outcomes carries out a batch and returns what each update was told.
func outcomes(db *DB, batch ...*request) (told []error) {
	db.commit(batch)
	for _, r := range batch {
		told = append(told, <-r.done)
	}
	return told
}

// queue lists the ids of the runs that wait, in their order.
func queue(t *testing.T, db *DB) (ids []string) {
	t.Helper()
	rows, err := db.readers.QueryContext(t.Context(), "SELECT run_id FROM runs ORDER BY seq")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
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

// TestRunsOfABatch: runs that are inserted together stand in the order of their
// updates, each under the number that it is told; those of an update that fails
// are not there.
func TestRunsOfABatch(t *testing.T) {
	db := openTest(t)
	failed := errors.New("no")
	var want []*triggers.Run
	run := func() *triggers.Run {
		want = append(want, newRun("{}"))
		return want[len(want)-1]
	}
	batch := []*request{inserting(nil, run()), inserting(failed, newRun("{}")), inserting(nil, run(), run(), run()), inserting(failed, newRun("{}"), newRun("{}"))}
	for range 14 { // 8, 4 and 2 at a time
		batch = append(batch, inserting(nil, run()))
	}
	for i, err := range outcomes(db, batch...) {
		if want := []error{1: failed, 3: failed, 17: nil}[i]; !errors.Is(err, want) {
			t.Errorf("update %d was told %v, want %v", i, err, want)
		}
	}
	if err := outcomes(db, inserting(nil, run(), run()))[0]; err != nil { // alone
		t.Fatal(err)
	}
	if got := queue(t, db); !slices.Equal(got, ids(want...)) {
		t.Errorf("%d runs wait, want %d in their order:\n%q\n%q", len(got), len(want), got, ids(want...))
	}
	for i, r := range want {
		if r.Seq != int64(i+1) {
			t.Errorf("run %d was told number %d", i+1, r.Seq)
		}
	}
}

// TestBatchSeesWhatWasPutOff: an update finds the runs that were inserted
// before its statements, by those before it in the commit and by itself.
func TestBatchSeesWhatWasPutOff(t *testing.T) {
	db := openTest(t)
	first, second, third := newRun("{}"), newRun("{}"), newRun("{}")
	var counts []int
	count := func(tx *tx) error {
		n := 0
		row, err := tx.queryRow("SELECT count(*) FROM runs")
		if err == nil {
			err = row.Scan(&n)
		}
		counts = append(counts, n)
		return err
	}
	counting := &request{done: make(chan error, 1), fn: func(tx *tx) error {
		return errors.Join(count(tx), tx.InsertRun(second), count(tx), tx.InsertRun(third))
	}}
	undone := &request{done: make(chan error, 1), fn: func(tx *tx) error {
		return errors.Join(tx.InsertRun(newRun("{}")), count(tx), errors.New("no"))
	}}
	again := &request{done: make(chan error, 1), fn: count}
	told := outcomes(db, inserting(nil, first), counting, undone, again)
	if told[0] != nil || told[1] != nil || told[2] == nil || told[3] != nil {
		t.Fatal(told)
	}
	if want := []int{1, 2, 4, 3}; !slices.Equal(counts, want) {
		t.Errorf("the updates found %d runs, want %d", counts, want)
	}
	if got := queue(t, db); !slices.Equal(got, ids(first, second, third)) {
		t.Errorf("%q wait", got)
	}
}

// TestRunThatCannotBeSavedFailsAlone, whoever shares its statement.
func TestRunThatCannotBeSavedFailsAlone(t *testing.T) {
	db := openTest(t)
	var batch []*request
	var want []*triggers.Run
	for range 8 {
		want = append(want, newRun("{}"))
		batch = append(batch, inserting(nil, want[len(want)-1]))
	}
	twin := newRun("{}")
	twin.RunID = want[2].RunID
	batch[5] = inserting(nil, twin)
	want = slices.Delete(want, 5, 6)
	for i, err := range outcomes(db, batch...) {
		if (err != nil) != (i == 5) {
			t.Errorf("update %d was told %v", i, err)
		}
	}
	if got := queue(t, db); !slices.Equal(got, ids(want...)) {
		t.Errorf("%q wait, want %q", got, ids(want...))
	}
	if err := outcomes(db, inserting(nil, twin))[0]; err == nil { // alone
		t.Error("it was saved")
	}
}

// TestBatchThatSQLiteRolledBack: on some faults SQLite gives up the whole
// transaction by itself, as this trigger does; then all updates have failed,
// and nothing of them is saved.
func TestBatchThatSQLiteRolledBack(t *testing.T) {
	db := openTest(t)
	err := db.update(t.Context(), func(tx *tx) error {
		_, err := tx.exec("CREATE TRIGGER full BEFORE INSERT ON runs WHEN new.event = 'bad' BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	bad := newRun("{}")
	bad.Event = "bad"
	asking := &request{done: make(chan error, 1), fn: func(tx *tx) error {
		row, err := tx.queryRow("SELECT count(*) FROM runs")
		if err != nil {
			return err
		}
		return row.Scan(new(int))
	}}
	for _, batch := range [][]*request{
		{inserting(nil, newRun("{}")), inserting(nil, bad), inserting(nil, newRun("{}"))},
		{inserting(nil, newRun("{}")), inserting(nil, newRun("{}"), bad), inserting(nil, newRun("{}"))},
		{inserting(nil, newRun("{}")), inserting(nil, bad), asking, inserting(nil, newRun("{}"))},
		{inserting(nil, newRun("{}"), bad)},
	} {
		for i, err := range outcomes(db, batch...) {
			if err == nil {
				t.Errorf("of %d updates number %d was told that it is saved", len(batch), i)
			}
		}
		if got := queue(t, db); len(got) != 0 {
			t.Fatalf("of %d updates %d are saved", len(batch), len(got))
		}
	}
	if err := outcomes(db, inserting(nil, newRun("{}")))[0]; err != nil { // it can go on
		t.Error(err)
	}
}
