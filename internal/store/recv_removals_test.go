package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

func TestRemovalsAreKeptListedAndPurged(t *testing.T) {
	db := openTest(t)
	v, ctx := db.Received(), t.Context()
	const n = recvPage + 7
	list := make([]transfer.Removal, n)
	for i := range list {
		list[i] = transfer.Removal{
			Index: int64(i), Name: fmt.Sprintf("/\xff%d", i), Final: fmt.Sprintf("/in/\xff%d", i), Real: fmt.Sprintf("r/\xff%d", i),
			Dir: i == 3, Size: 4, ModTime: -5, ChangeTime: 6, Links: 7,
		}
	}
	row := recvRow("key", "id", "bob")
	row.Staging, row.Status, row.EndTime = "", transfer.StatusComplete, 9
	if err := v.Update(ctx, func(tx transfer.RecvTx) error {
		return errors.Join(tx.SaveRecvTransfer(row), tx.SaveRecvTransfer(recvRow("key", "other", "bob")),
			tx.SaveRecvFiles("key", "id", []transfer.RecvFile{{Name: "/f", Real: "r/f", Placed: true, Root: true}}),
			tx.SaveRemovals("key", "id", list), tx.SaveRemovals("key", "other", list[:1]))
	}); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i].State = transfer.RemovalDone
	}
	list[5].State = transfer.RemovalKept
	if err := v.Update(ctx, func(tx transfer.RecvTx) error { return tx.SaveRemovals("key", "id", list[1:]) }); err != nil {
		t.Fatal(err)
	}
	list[0].State = transfer.RemovalPlanned
	got, err := v.Removals(ctx, "key", "id", 0, n+1)
	if diff := cmp.Diff(list, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if got, err := v.Removals(ctx, "key", "id", 4, 2); err != nil || len(got) != 2 || got[0].Index != 4 {
		t.Errorf("a page: %v, %v", got, err)
	}
	var listed []triggers.ListedFile
	for f, err := range v.List(ctx, transfer.RecvSubject("key", "id")) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, f)
	}
	if want := 1 + n - 3; len(listed) != want || listed[0].Removed || !listed[1].Removed || listed[1].Path != "/in/\xff1" { // without 0, 3 and 5
		t.Errorf("%d are listed, want %d: %+v", len(listed), want, listed[:2])
	}
	if err := v.Update(ctx, func(tx transfer.RecvTx) error { return tx.DropRemovals("key", "other") }); err != nil {
		t.Fatal(err)
	}
	if got, err := v.Removals(ctx, "key", "other", 0, 9); err != nil || len(got) != 0 {
		t.Errorf("dropped: %v, %v", got, err)
	}
	for more, rounds := true, 0; more; rounds++ {
		if err := v.Update(ctx, func(tx transfer.RecvTx) (err error) {
			if rounds == 0 {
				if _, err := tx.CollectRecv(10, nil, 9); err != nil {
					return err
				}
			}
			more, err = tx.PurgeRecvFiles(500)
			return err
		}); err != nil || rounds > 9 {
			t.Fatal(rounds, err)
		}
	}
	var left int
	if err := db.readers.queryRow(ctx, "SELECT (SELECT count(*) FROM recv_removals) + (SELECT count(*) FROM recv_files)").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are left (%v)", left, err)
	}
}

func TestKnownFiles(t *testing.T) {
	db := openTest(t)
	v, ctx := db.Received(), t.Context()
	var files []transfer.RecvFile
	for i := range 100 {
		files = append(files, transfer.RecvFile{Index: int64(i), Name: fmt.Sprint("/", i), Real: fmt.Sprint("r/", i), Fold: int64(i / 2), Dir: i%3 == 0})
	}
	if err := v.Update(ctx, func(tx transfer.RecvTx) error {
		return errors.Join(tx.SaveRecvTransfer(recvRow("key", "id", "bob")), tx.SaveRecvTransfer(recvRow("key", "other", "bob")),
			tx.SaveRecvFiles("key", "id", files), tx.SaveRecvFiles("key", "other", files))
	}); err != nil {
		t.Fatal(err)
	}
	got, err := v.KnownFiles(ctx, "key", "id", []int64{0, 7, 49, -1}, 99)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range got {
		names = append(names, fmt.Sprintln(f.Index, f.Real, f.Dir, f.Fold))
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"14 r/14 false 7\n", "15 r/15 true 7\n", "98 r/98 false 49\n", "99 r/99 true 49\n"}, names); diff != "" {
		t.Error(diff)
	}
	if got, err := v.KnownFiles(ctx, "key", "id", []int64{7, 49}, 3); err != nil || len(got) != 3 {
		t.Errorf("three of four: %v, %v", got, err)
	}
	plan, err := db.readers.query(ctx, "EXPLAIN QUERY PLAN "+knownFiles, "[1]", 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := scanAll(plan, func(row scanner) (s string, err error) {
		var a, b, c any
		return s, row.Scan(&a, &b, &c, &s)
	})
	if err != nil || !slices.ContainsFunc(steps, func(s string) bool {
		return s == "SEARCH recv_files USING INDEX recv_files_fold (transfer=? AND fold=?)"
	}) {
		t.Errorf("the entries are found by %q (%v)", steps, err)
	}
}

func TestRecvSince(t *testing.T) {
	db := openTest(t)
	v, ctx := db.Received(), t.Context()
	if err := v.Update(ctx, func(tx transfer.RecvTx) error {
		for id, end := range map[string]api.Time{"open": 0, "before": 99, "then": 100, "after": 101} {
			r := recvRow("key", id, "bob")
			r.EndTime, r.Staging = 0, ""
			if end > 0 {
				r.Status, r.EndTime = transfer.StatusComplete, end
			}
			if err := tx.SaveRecvTransfer(r); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	list, err := v.RecvSince(ctx, 100)
	var ids []string
	for _, r := range list {
		ids = append(ids, r.TransferID)
	}
	slices.Sort(ids)
	if diff := cmp.Diff([]string{"after", "open", "then"}, ids); diff != "" || err != nil {
		t.Error(err, diff)
	}
}
