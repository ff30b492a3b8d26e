package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes this test binary a server that is killed as well (see
// startWriter).
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == writerArg {
		if err := writeUntilKilled(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func openTest(t testing.TB) *DB {
	t.Helper()
	return openDir(t, t.TempDir())
}

// openDir opens a database and closes it with the test.
func openDir(t testing.TB, dir string) *DB {
	t.Helper()
	db, err := Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestDatabaseURI(t *testing.T) {
	for path, want := range map[string]string{
		"/var/lib/jetstream/state/jetstream.db": "file:///var/lib/jetstream/state/jetstream.db",
		"C:/ProgramData/jetstream/jetstream.db": "file:///C:/ProgramData/jetstream/jetstream.db",
		"//server/share/state/jetstream.db":     "file:////server/share/state/jetstream.db",
		"/odd ?#%41/jetstream.db":               "file:///odd%20%3F%23%2541/jetstream.db",
	} {
		if got := databaseURI(path); got != want {
			t.Errorf("%s becomes %s, want %s", path, got, want)
		}
	}
}

func TestGroupCommitKeepsOthersWhenOneFails(t *testing.T) {
	db := openTest(t)
	ctx := context.Background()
	boom := errors.New("boom")
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			committed := false
			err := db.update(ctx, func(x *tx) error {
				x.AfterCommit(func() { committed = true })
				if _, err := x.exec("INSERT INTO meta (name, value) VALUES (?, 'x')", fmt.Sprint(i)); err != nil {
					return err
				}
				switch i % 10 {
				case 3:
					return boom
				case 7:
					panic("boom")
				}
				return nil
			})
			failed := i%10 == 3 || i%10 == 7
			if failed == (err == nil) || committed == failed {
				t.Errorf("update %d: error %v, after-commit ran: %v", i, err, committed)
			}
		})
	}
	wg.Wait()
	var n int
	if err := db.readers.queryRow(t.Context(), "SELECT count(*) FROM meta").Scan(&n); err != nil || n != 160 {
		t.Fatalf("%d rows are there, want the 160 of the updates that did not fail (%v)", n, err)
	}
}

func TestUpdateAfterCloseFails(t *testing.T) {
	db := openTest(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.SetMeta(context.Background(), "a", "b"); err == nil {
		t.Fatal("a closed database took an update")
	}
	if err := db.Close(); err != nil {
		t.Fatalf("second Close: %v", err)
	}
}

func TestReopenKeepsState(t *testing.T) {
	dir, ctx := t.TempDir(), context.Background()
	for range 2 {
		db, err := Open(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.SetMeta(ctx, "uid", "1"); err != nil {
			t.Fatal(err)
		}
		if v, err := db.Meta(ctx, "uid"); v != "1" || err != nil {
			t.Fatalf("Meta = %q, %v", v, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
