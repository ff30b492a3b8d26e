package store

import (
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"testing"

	"jetstream/internal/api"
	"jetstream/internal/stream"
	"jetstream/triggers"
)

// TestEntriesOfABatch carries out updates in one commit: the entries of those
// that succeed are saved in their order, each under the number that it is told,
// and those of one that fails are not there.
func TestEntriesOfABatch(t *testing.T) {
	db := openTest(t)
	var want []*stream.Entry
	update := func(entries int, failure error) *request {
		return &request{done: make(chan error, 1), fn: func(tx *tx) error {
			for range entries {
				e := &stream.Entry{Type: "launch", Time: 1, User: "alice", Data: json.RawMessage(strconv.Itoa(len(want)))}
				if failure == nil {
					want = append(want, e)
				}
				if err := tx.AppendEntry(e); err != nil {
					return err
				}
			}
			return failure
		}}
	}
	failed := errors.New("no")
	for _, batch := range [][]*request{
		{update(15, nil)}, // 8, 4, 2 and 1 at a time
		{update(1, nil), update(9, failed), update(2, nil), update(8, nil)},
		{update(3, failed)},
		{update(1, nil)},
	} {
		db.commit(batch)
		for _, r := range batch {
			if err := <-r.done; err != nil && !errors.Is(err, failed) {
				t.Fatal(err)
			}
		}
	}
	got, err := db.Entries().Entries(t.Context(), 0, 100)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d entries are saved, want %d (%v)", len(got), len(want), err)
	}
	for i, e := range got {
		if e.ID != int64(i+1) || want[i].ID != e.ID || string(e.Data) != string(want[i].Data) {
			t.Errorf("entry %d is number %d, was told %d: %s, want %s", i, e.ID, want[i].ID, e.Data, want[i].Data)
		}
	}
}

// noted is openServer with entries about runs, as the server has them.
func noted(t testing.TB, dir string) *DB {
	t.Helper()
	db := openServer(t, dir)
	db.NoteRuns(func(tx stream.Tx, r *triggers.Run) error {
		return tx.AppendEntry(&stream.Entry{Type: "trigger." + string(r.Status), Time: api.Now(), Data: []byte(`{"runId":"` + r.RunID + `"}`)})
	})
	return db
}

// TestEntriesHaveNoHoles: who reads entries while some are marked beside the
// journal passes by none.
func TestEntriesHaveNoHoles(t *testing.T) {
	db := noted(t, t.TempDir())
	run := addRuns(t, db, 1)[0]
	if err := db.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	var writing, reading sync.WaitGroup
	for range 2 {
		writing.Go(func() {
			for range 200 {
				addRun(t, db)
			}
		})
	}
	writing.Go(func() {
		mark := *run
		for range 200 {
			if err := db.Runs().Mark(t.Context(), &mark); err != nil {
				t.Error(err)
			}
		}
	})
	stop := make(chan struct{})
	for range 2 {
		reading.Go(func() {
			for last := int64(0); ; {
				select {
				case <-stop:
					return
				default:
				}
				page, err := db.Entries().Entries(t.Context(), last, 100)
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range page {
					if e.ID != last+1 {
						t.Errorf("entry %d comes after %d", e.ID, last)
						return
					}
					last = e.ID
				}
			}
		})
	}
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			newest, err := db.Entries().Newest(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			page, err := db.Entries().EntryPage(t.Context(), stream.PageQuery{All: true, Limit: 20}, 0, newest+1)
			if err != nil {
				t.Error(err)
				return
			}
			for i, e := range page {
				if e.ID != page[0].ID-int64(i) {
					t.Errorf("entry %d comes before %d", e.ID, page[i-1].ID)
					return
				}
			}
		}
	})
	writing.Wait()
	close(stop)
	reading.Wait()
}
