package store

import (
	"encoding/json"
	"errors"
	"strconv"
	"testing"

	"jetstream/internal/stream"
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
