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

// TestEntriesOfABatchAreNumberedInOrder: the entries of updates that succeed are
// saved in the order of the updates, each under the number that it got, and
// those of one that fails are not there.
func TestEntriesOfABatchAreNumberedInOrder(t *testing.T) {
	db := openTest(t)
	var want []*stream.Entry
	appending := func(entries int, failure error) func(*tx) error {
		return func(tx *tx) error {
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
		}
	}
	failed := errors.New("no")
	for _, batch := range [][]func(*tx) error{
		{appending(47, nil)}, // 32, 8, 4, 2 and 1 at a time
		{appending(1, nil), appending(9, failed), appending(2, nil), appending(8, nil)},
		{appending(3, failed)},
		{appending(1, nil)},
	} {
		for _, err := range commit(db, batch...) {
			if err != nil && !errors.Is(err, failed) {
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
			t.Errorf("entry %d has number %d, and got %d: %s, want %s", i, e.ID, want[i].ID, e.Data, want[i].Data)
		}
	}
}

// openWithRunEntries is openDir with entries about runs, as the server has them.
func openWithRunEntries(t testing.TB, dir string) *DB {
	t.Helper()
	db := openDir(t, dir)
	db.OnRunChange(func(tx stream.Tx, r *triggers.Run) error {
		return tx.AppendEntry(&stream.Entry{Type: "trigger." + string(r.Status), Time: api.Now(), Data: []byte(`{"runId":"` + r.RunID + `"}`)})
	})
	return db
}

// TestEntriesHaveNoHoles: whoever reads entries while others write them passes
// by none.
func TestEntriesHaveNoHoles(t *testing.T) {
	db := openWithRunEntries(t, t.TempDir())
	run := addRuns(t, db, 1)[0]
	var writing, reading sync.WaitGroup
	for range 2 {
		writing.Go(func() {
			for range 60 {
				addRun(t, db)
			}
		})
	}
	writing.Go(func() {
		mark := *run
		for range 60 {
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
