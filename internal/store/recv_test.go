package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

func recvRow(key, id, user string) *transfer.RecvTransfer {
	return &transfer.RecvTransfer{
		TransferID: id, Username: user, DestinationPath: "/in", Status: transfer.StatusReceiving, Processing: true,
		ErrorMessage: "e", TotalFiles: 1, TotalSize: 2, FilesReceived: 3, BytesReceived: 4, SourceIP: "127.0.0.1", SourcePort: 5,
		SourcePublicKey: key, StartTime: 6, LastRecvTime: 7, LastErrorTime: 8, EndTime: 9, TicketHash: []byte{1, 2},
		Conflict: "skip", OnError: "stop", Root: "/root\xff", Staging: "in/.jetstream", Finishing: true, RemovedFiles: 10,
		Mirror: &transfer.Mirror{MaxDelete: 11, Began: 12, Include: []string{"a"}, Exclude: []string{"b"}, Fault: "why", Planned: true},
	}
}

func TestReceivedTransfersAreKept(t *testing.T) {
	db := openTest(t)
	v, ctx := db.Received(), t.Context()
	var _ transfer.RecvStore = v
	var saved []*transfer.RecvTransfer
	for i := range 5 {
		saved = append(saved, recvRow("key", fmt.Sprint(i), []string{"bob", "eve"}[i%2]))
	}
	other := recvRow("otherkey", "0", "eve")
	saved = append(saved, other)
	if err := v.Update(ctx, func(tx transfer.RecvTx) error {
		for _, r := range saved {
			if err := tx.SaveRecvTransfer(r); err != nil {
				return err
			}
		}
		again := *saved[1]
		again.Status, again.Processing, again.Staging, again.EndTime = transfer.StatusComplete, false, "", 10
		saved[1] = &again
		seq := again.Seq
		if err := tx.SaveRecvTransfer(&again); err != nil {
			return err
		}
		if again.Seq != seq || seq == 0 {
			return fmt.Errorf("seq %d became %d", seq, again.Seq)
		}
		got, err := tx.RecvTransfer("key", "nobody")
		if got != nil || err != nil {
			return fmt.Errorf("unknown transfer: %v, %w", got, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	page, err := v.RecvTransfers(ctx, transfer.Page{Owner: "bob", Limit: 2})
	if err != nil || len(page) != 2 {
		t.Fatal(page, err)
	}
	if diff := cmp.Diff([]transfer.RecvTransfer{*saved[4], *saved[2]}, page); diff != "" {
		t.Error(diff)
	}
	page, err = v.RecvTransfers(ctx, transfer.Page{Owner: "bob", Limit: 2, Before: page[1].Seq})
	if err != nil || len(page) != 1 || page[0].TransferID != "0" {
		t.Error("second page:", page, err)
	}
	page, err = v.RecvTransfers(ctx, transfer.Page{Status: transfer.StatusComplete, Limit: 9})
	if err != nil || len(page) != 1 || page[0].TransferID != "1" {
		t.Error("by status:", page, err)
	}
	for user, want := range map[string]string{"": "otherkey", "bob": "key", "eve": "otherkey"} {
		if got, err := v.RecvTransfer(ctx, "0", user); err != nil || got.SourcePublicKey != want {
			t.Errorf("transfer 0 as %q is of %q (%v), want %q", user, got.SourcePublicKey, err, want)
		}
	}
	if _, err := v.RecvTransfer(ctx, "2", "eve"); !errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		t.Errorf("another's transfer: %v, want notFound", err)
	}
	open, err := v.Receiving(ctx)
	if err != nil || len(open) != 5 {
		t.Errorf("%d are open (%v), want 5", len(open), err)
	}
}

func TestReceivedFilesAndTheirList(t *testing.T) {
	db := openTest(t)
	v, ctx := db.Received(), t.Context()
	const n = 2*recvPage + 7
	files := make([]transfer.RecvFile, n)
	for i := range files {
		files[i] = transfer.RecvFile{
			Index: int64(i), Name: fmt.Sprintf("/\xff%d", i), Size: 2, Mode: 0o640, ModTime: -5,
			Final: fmt.Sprintf("/in/\xff%d", i), Real: fmt.Sprintf("real/\xff%d", i), Placed: true,
		}
	}
	files[3].Dir, files[3].Size = true, 0
	files[4].Skipped = true
	files[5].Placed = false
	if err := v.Update(ctx, func(tx transfer.RecvTx) error {
		return errors.Join(tx.SaveRecvTransfer(recvRow("key", "id", "bob")), tx.SaveRecvFiles("key", "id", files), tx.SaveRecvFiles("key", "id", files[:9]))
	}); err != nil {
		t.Fatal(err)
	}
	var got []transfer.RecvFile
	for f, err := range v.RecvFiles(ctx, "key", "id", 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f)
	}
	if diff := cmp.Diff(files, got); diff != "" {
		t.Error(diff)
	}
	entries, count, bytes, err := v.RecvCount(ctx, "key", "id")
	if err != nil || entries != n || count != n-1 || bytes != 2*(n-1) {
		t.Errorf("counted %d, %d, %d (%v)", entries, count, bytes, err)
	}
	var listed []triggers.ListedFile
	for f, err := range v.List(ctx, transfer.RecvSubject("key", "id")) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, f)
	}
	want := triggers.ListedFile{ManifestFile: "/\xff6", FilePath: filepath.Join("/root\xff", "real", "\xff6"), Path: "/in/\xff6", Size: 2}
	if len(listed) != n-3 || listed[3] != want {
		t.Errorf("%d listed, the fourth %+v; want %d and %+v", len(listed), listed[3], n-3, want)
	}
	for _, subject := range []string{"", "key/nobody"} {
		for _, err := range v.List(ctx, subject) {
			if err == nil {
				t.Errorf("%q has a list", subject)
			}
		}
	}
}

// Entries are replaced by index, several by one statement, with whatever is new
// in between.
func TestSavedReceivedFilesReplaceThoseOfTheSameIndex(t *testing.T) {
	db := openTest(t)
	v, ctx := db.Received(), t.Context()
	file := func(i int, state string) transfer.RecvFile {
		f := transfer.RecvFile{Index: int64(i), Name: fmt.Sprintf("/%d", i), Size: int64(i), Mode: 1 << 31, ModTime: -1, Dir: i%3 == 0}
		if state != "" {
			f.Skipped, f.Error, f.Final, f.Real, f.Placed, f.Made, f.Fold = i%5 == 0, state, "/"+state, state, i%2 == 0, i%7 == 0, int64(-i)
		}
		return f
	}
	var first, second, want []transfer.RecvFile
	for i := range 100 {
		if i%4 != 0 {
			first = append(first, file(i, ""))
		}
		if i >= 20 {
			second = append(second, file(i, "final"))
		}
		if i%4 != 0 || i >= 20 {
			want = append(want, file(i, map[bool]string{true: "final"}[i >= 20]))
		}
	}
	saveOther := []transfer.RecvFile{file(30, "other")}
	if err := v.Update(ctx, func(tx transfer.RecvTx) error {
		return errors.Join(tx.SaveRecvTransfer(recvRow("key", "id", "bob")), tx.SaveRecvTransfer(recvRow("key", "other", "bob")),
			tx.SaveRecvFiles("key", "other", saveOther), tx.SaveRecvFiles("key", "id", first), tx.SaveRecvFiles("key", "id", second))
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, recvFiles(t, db, "id")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(saveOther, recvFiles(t, db, "other")); diff != "" {
		t.Error("of another transfer:", diff)
	}
	if err := v.Update(ctx, func(tx transfer.RecvTx) error { return tx.SaveRecvFiles("key", "none", first) }); err == nil {
		t.Error("entries of a transfer that is not there were saved")
	}
}

func recvFiles(t *testing.T, db *DB, transferID string) (list []transfer.RecvFile) {
	t.Helper()
	for f, err := range db.Received().RecvFiles(t.Context(), "key", transferID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	return list
}

func TestPlaceRecvFiles(t *testing.T) {
	db := openTest(t)
	v, ctx := db.Received(), t.Context()
	var files []transfer.RecvFile
	for i := range 20 {
		f := transfer.RecvFile{Index: int64(i), Name: fmt.Sprintf("/%d", i), Final: fmt.Sprintf("/in/%d", i), Real: fmt.Sprintf("in/%d", i)}
		switch i {
		case 7:
			f.Final, f.Real = "", "" // has no name yet
		case 8:
			f.Skipped = true
		case 9:
			f.Dir, f.Made = true, true
		}
		files = append(files, f)
	}
	if err := v.Update(ctx, func(tx transfer.RecvTx) error {
		return errors.Join(tx.SaveRecvTransfer(recvRow("key", "id", "bob")), tx.SaveRecvTransfer(recvRow("key", "other", "bob")),
			tx.SaveRecvFiles("key", "id", files), tx.SaveRecvFiles("key", "other", files), tx.PlaceRecvFiles("key", "id", 5, 10))
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files, recvFiles(t, db, "other")); diff != "" {
		t.Error("of another transfer:", diff)
	}
	for _, i := range []int{5, 6, 9, 10} {
		files[i].Placed = true
	}
	if diff := cmp.Diff(files, recvFiles(t, db, "id")); diff != "" {
		t.Error(diff)
	}
	if err := v.Update(ctx, func(tx transfer.RecvTx) error { return tx.PlaceRecvFiles("key", "none", 0, 1) }); err == nil {
		t.Error("entries of a transfer that is not there were placed")
	}
}
