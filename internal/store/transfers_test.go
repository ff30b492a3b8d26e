package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// inTx runs fn in one transaction that must succeed.
func inTx(t *testing.T, db *DB, fn func(transfer.Tx) error) {
	t.Helper()
	if err := db.Transfers().Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func isCode(err error, code api.Code) bool {
	e := api.ErrorOf(err)
	return e != nil && e.Code == code
}

func TestTransferIsKeptWhole(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	x := transfer.Transfer{
		Params: transfer.Params{
			ManifestID: "m", DestinationID: "d", DestinationPath: "/p", Username: "bob", Priority: 3,
			CheckpointFrequencySeconds: 4, Checksum: true, Conflict: "skip", OnError: "continue", Compression: "none", UserData: map[string]string{"k": "v"},
			MirrorParams: transfer.MirrorParams{Mirror: true, MaxDelete: 15},
		},
		TransferID: "t", DestinationAddress: "host", DestinationPort: 1, Status: transfer.StatusActive, Processing: true,
		ErrorMessage: "why", TotalFiles: 5, TotalBytes: 6, FilesSent: 7, BytesSent: 8, BytesSaved: 13, RequestTime: 9, StartTime: 10,
		EndTime: 11, Owner: "alice", SealedPassword: []byte{0, 1}, Ticket: []byte{2, 0}, PublicKey: "key", TellPeer: true,
		RequestID: "r", Depth: 12, DataBytes: 13, Grown: 14, RemovedFiles: 16,
	}
	inTx(t, db, func(tx transfer.Tx) error { return tx.SaveTransfer(&x) })
	got, err := db.Transfers().Transfer(ctx, "t")
	if diff := cmp.Diff(x, got); diff != "" || err != nil || x.Seq == 0 {
		t.Errorf("inserted, then read (%v): %s", err, diff)
	}
	x.Status, x.ErrorMessage, x.SealedPassword, x.Ticket, x.PublicKey, x.FilesSent = transfer.StatusPending, "", nil, []byte{9}, "other", 70
	x.TellPeer, x.StartTime, x.Priority, x.UserData = false, 100, 30, map[string]string{}
	inTx(t, db, func(tx transfer.Tx) error { return tx.SaveTransfer(&x) })
	inTx(t, db, func(tx transfer.Tx) error {
		got, err := tx.Transfer("t")
		if diff := cmp.Diff(&x, got); diff != "" {
			t.Errorf("updated, then read in a transaction: %s", diff)
		}
		return err
	})
	if err := db.Transfers().SaveProgress(ctx, &transfer.Transfer{TransferID: "t", FilesSent: 71, BytesSent: 81, BytesSaved: 91, Grown: -1}); err != nil {
		t.Fatal(err)
	}
	if got, err = db.Transfers().Transfer(ctx, "t"); err != nil || got.FilesSent != 71 || got.BytesSent != 81 || got.BytesSaved != 91 || got.Grown != -1 || got.TotalBytes != 6-14-1 {
		t.Errorf("progress: %+v, %v", got, err)
	}
	if _, err := db.Transfers().Transfer(ctx, "none"); !isCode(err, api.CodeNotFound) {
		t.Errorf("a transfer that is not there: %v", err)
	}
}

func TestListsAreNewestFirstInPages(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	inTx(t, db, func(tx transfer.Tx) error {
		for i := range 25 {
			owner, status := "alice", transfer.StatusPending
			if i%5 == 4 {
				owner = "bob"
			}
			if i%2 == 1 {
				status = transfer.StatusComplete
			}
			id := fmt.Sprintf("%02d", 99-i) // ids sort the other way round: order is not theirs
			for _, err := range []error{
				tx.SaveTransfer(&transfer.Transfer{TransferID: id, Owner: owner, Status: status}),
				tx.SaveManifest(&transfer.Manifest{ManifestID: id, Owner: owner, Status: status}),
				tx.SaveDestination(&transfer.Destination{DestinationID: id, Owner: owner, DestinationAddress: id}),
			} {
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	s := db.Transfers()
	lists := map[string]func(transfer.Page) ([]string, int64, error){
		"transfers": func(p transfer.Page) (ids []string, last int64, err error) {
			list, err := s.Transfers(ctx, p)
			for _, x := range list {
				ids, last = append(ids, x.TransferID), x.Seq
			}
			return ids, last, err
		},
		"manifests": func(p transfer.Page) (ids []string, last int64, err error) {
			list, err := s.Manifests(ctx, p)
			for _, x := range list {
				ids, last = append(ids, x.ManifestID), x.Seq
			}
			return ids, last, err
		},
		"destinations": func(p transfer.Page) (ids []string, last int64, err error) {
			list, err := s.Destinations(ctx, p)
			for _, x := range list {
				ids, last = append(ids, x.DestinationID), x.Seq
			}
			return ids, last, err
		},
	}
	for name, list := range lists {
		for _, c := range []struct {
			page transfer.Page
			keep func(i int) bool
		}{
			{transfer.Page{}, func(int) bool { return true }},
			{transfer.Page{Owner: "bob"}, func(i int) bool { return i%5 == 4 }},
			{transfer.Page{Owner: "nobody"}, func(int) bool { return false }},
			{transfer.Page{Status: transfer.StatusComplete}, func(i int) bool { return i%2 == 1 }},
			{transfer.Page{Owner: "alice", Status: transfer.StatusPending}, func(i int) bool { return i%5 != 4 && i%2 == 0 }},
			{transfer.Page{IDPart: "9"}, func(i int) bool { return (99-i)/10 == 9 || (99-i)%10 == 9 }},
			{transfer.Page{IDPart: "98"}, func(i int) bool { return i == 1 }},
			{transfer.Page{IDPart: "%"}, func(int) bool { return false }},
		} {
			if name == "destinations" && c.page.Status != "" || name != "transfers" && c.page.IDPart != "" {
				continue
			}
			var want, got []string
			for i := 24; i >= 0; i-- {
				if c.keep(i) {
					want = append(want, fmt.Sprintf("%02d", 99-i))
				}
			}
			c.page.Limit = 4
			for {
				ids, last, err := list(c.page)
				if err != nil || len(ids) > 4 {
					t.Fatalf("%s: %d entries, %v", name, len(ids), err)
				}
				if len(ids) == 0 {
					break
				}
				got = append(got, ids...)
				c.page.Before = last
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s of owner %q, status %q and id %q: %q, want %q", name, c.page.Owner, c.page.Status, c.page.IDPart, got, want)
			}
		}
	}
}

func TestAPageOfLargeManifestsEndsEarly(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	large := map[string]string{}
	for i := range 1000 {
		large[fmt.Sprint("/", i, strings.Repeat("s", 4000))] = "/n"
	}
	inTx(t, db, func(tx transfer.Tx) error {
		for i := range 5 {
			if err := tx.SaveManifest(&transfer.Manifest{ManifestID: fmt.Sprint(i), FileMappings: large}); err != nil {
				return err
			}
		}
		return nil
	})
	list, err := db.Transfers().Manifests(ctx, transfer.Page{Limit: 100})
	if err != nil || len(list) != 3 { // 4 MB each; the page ends once 8 MiB are passed
		t.Errorf("%d manifests on the page, %v", len(list), err)
	}
}

func TestOneDestinationForOwnerAddressAndPort(t *testing.T) {
	db := openTest(t)
	save := func(id, owner, address string, port int) error {
		return db.Transfers().Update(t.Context(), func(tx transfer.Tx) error {
			return tx.SaveDestination(&transfer.Destination{DestinationID: id, Owner: owner, DestinationAddress: address, DestinationPort: port})
		})
	}
	for i, c := range []struct {
		owner, address string
		port           int
		taken          bool
	}{{"a", "h", 1, false}, {"a", "h", 1, true}, {"b", "h", 1, false}, {"a", "g", 1, false}, {"a", "h", 2, false}} {
		if err := save(fmt.Sprint(i), c.owner, c.address, c.port); (err != nil) != c.taken {
			t.Errorf("%+v: %v", c, err)
		}
	}
	inTx(t, db, func(tx transfer.Tx) error {
		if d, err := tx.DestinationAt("a", "h", 2); err != nil || d == nil || d.DestinationID != "4" {
			t.Errorf("found %+v, %v", d, err)
		}
		if d, err := tx.DestinationAt("a", "h", 3); err != nil || d != nil {
			t.Errorf("found %+v, %v where there is none", d, err)
		}
		return nil
	})
}

func TestFileLists(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	s := db.Transfers()
	files := func(from, n int, prefix string) (list []transfer.ManifestFile) {
		for i := range n {
			name := fmt.Sprintf("%s%d", prefix, from+i)
			list = append(list, transfer.ManifestFile{Index: int64(from + i), Source: "/s" + name, Name: name, Size: 5, Mode: 0o644, ModTime: -1})
		}
		return list
	}
	inTx(t, db, func(tx transfer.Tx) error {
		if err := tx.SaveManifest(&transfer.Manifest{ManifestID: "m", Status: transfer.StatusPending}); err != nil {
			return err
		}
		return tx.SaveManifest(&transfer.Manifest{ManifestID: "n", Status: transfer.StatusPending})
	})
	want := files(0, 30, "/a")
	want[3].Dir = true
	for _, id := range []string{"m", "n"} { // lists do not mix
		inTx(t, db, func(tx transfer.Tx) error { return addFiles(tx, id, want[:20]) })
		inTx(t, db, func(tx transfer.Tx) error { return addFiles(tx, id, want[20:]) })
	}
	got, err := s.ManifestFiles(ctx, "m", 3, 22)
	if diff := cmp.Diff(want[3:25], got); diff != "" || err != nil {
		t.Errorf("read (%v): %s", err, diff)
	}
	err = s.Update(ctx, func(tx transfer.Tx) error {
		return addFiles(tx, "m", []transfer.ManifestFile{{Index: 30, Source: "/other", Name: "/a7"}})
	})
	if !isCode(err, api.CodeConflict) || !strings.Contains(err.Error(), "/s/a7 and /other would both be called /a7") {
		t.Errorf("two of one name: %v", err)
	}
	if err := s.Update(ctx, func(tx transfer.Tx) error { return addFiles(tx, "gone", want) }); !isCode(err, api.CodeNotFound) {
		t.Errorf("files of a manifest that is gone: %v", err)
	}

	inTx(t, db, func(tx transfer.Tx) error { return tx.ResetManifestFiles("m") })
	inTx(t, db, func(tx transfer.Tx) error { return addFiles(tx, "m", want[:2]) })
	inTx(t, db, func(tx transfer.Tx) error { return tx.DeleteManifest("n") })
	purges := 0
	for more := true; more; purges++ {
		inTx(t, db, func(tx transfer.Tx) (err error) {
			more, err = tx.PurgeManifestFiles(10)
			return err
		})
	}
	var rows, sets int
	if err := db.readers.queryRow(t.Context(), "SELECT (SELECT count(*) FROM manifest_files), (SELECT count(*) FROM file_sets)").Scan(&rows, &sets); err != nil {
		t.Fatal(err)
	}
	if rows != 2 || sets != 1 || purges < 6 {
		t.Errorf("after %d purges %d entries in %d lists are left, want the 2 of the reset manifest", purges, rows, sets)
	}
	if _, err := s.ManifestFiles(ctx, "n", 0, 1); !isCode(err, api.CodeNotFound) {
		t.Errorf("files of a deleted manifest: %v", err)
	}
}

func TestPendingManifests(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	inTx(t, db, func(tx transfer.Tx) error {
		for i, status := range []transfer.Status{"pending", "complete", "pending", "error", "pending"} {
			if err := tx.SaveManifest(&transfer.Manifest{ManifestID: fmt.Sprint(i), Status: status}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, c := range []struct {
		except []string
		limit  int
		want   string
	}{{nil, 10, "024"}, {nil, 2, "02"}, {[]string{"0"}, 2, "24"}, {[]string{"0", "2", "4"}, 1, ""}} {
		list, err := db.Transfers().PendingManifests(ctx, c.except, c.limit)
		got := ""
		for _, m := range list {
			got += m.ManifestID
		}
		if err != nil || got != c.want {
			t.Errorf("except %q, limit %d: %q, %v, want %q", c.except, c.limit, got, err, c.want)
		}
	}
}

func TestRunnableUsesItsIndex(t *testing.T) {
	plan := queryPlan(t, openTest(t), selectTransfer+runnable, "[]", 1)
	if !strings.Contains(plan, "transfers_runnable") || strings.Contains(plan, "TEMP B-TREE") {
		t.Error(plan)
	}
}

// What a list shows of a transfer is what the transfer itself shows, and of one
// row nothing is left in the next.
func TestListsShowWhatRepliesShow(t *testing.T) {
	s := openTest(t).Transfers()
	full := transfer.Transfer{
		Params: transfer.Params{
			ManifestID: "m", DestinationID: "d", DestinationPath: "/in", Username: "bob", Priority: 7,
			CheckpointFrequencySeconds: 5, Conflict: "skip", OnError: "continue",
			UserData: map[string]string{"a": "1", "b": "\"2\""},
		},
		TransferID: "full", DestinationAddress: "site-b", DestinationPort: 8887, Status: transfer.StatusActive,
		Processing: true, ErrorMessage: "why", TotalFiles: 10, TotalBytes: 1 << 40, FilesSent: 3, BytesSent: 1 << 39,
		RequestTime: 1, StartTime: 2, EndTime: 3, Owner: "alice", SealedPassword: []byte("sealed"), Ticket: []byte("ticket"),
		PublicKey: "key", TellPeer: true, RequestID: "r", Depth: 2,
	}
	saved := []transfer.Transfer{full, {TransferID: "empty", Params: transfer.Params{UserData: map[string]string{}}}, full, {TransferID: "null"}}
	saved[2].TransferID, saved[2].UserData = "again", map[string]string{"c": "3"}
	if err := s.Update(t.Context(), func(tx transfer.Tx) error {
		for i := range saved {
			if err := tx.SaveTransfer(&saved[i]); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	list, err := s.Transfers(t.Context(), transfer.Page{Limit: 10})
	if err != nil || len(list) != len(saved) {
		t.Fatal(len(list), err)
	}
	for i, listed := range list {
		want := saved[len(saved)-1-i]
		one, err := s.Transfer(t.Context(), want.TransferID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, one); diff != "" {
			t.Errorf("transfer %s differs from what was saved:\n%s", want.TransferID, diff)
		}
		hidden := transfer.Transfer{SealedPassword: listed.SealedPassword, Ticket: listed.Ticket, PublicKey: listed.PublicKey,
			TellPeer: listed.TellPeer, RequestID: listed.RequestID, Depth: listed.Depth}
		if diff := cmp.Diff(transfer.Transfer{}, hidden); diff != "" {
			t.Errorf("the list reads of %s what no reply shows:\n%s", want.TransferID, diff)
		}
		want.SealedPassword, want.Ticket, want.PublicKey, want.TellPeer, want.RequestID, want.Depth = nil, nil, "", false, "", 0
		if diff := cmp.Diff(want, listed); diff != "" {
			t.Errorf("transfer %s differs in the list:\n%s", want.TransferID, diff)
		}
	}
}

func addFiles(tx transfer.Tx, manifestID string, files []transfer.ManifestFile) error {
	_, err := tx.AddManifestFiles(manifestID, files)
	return err
}
