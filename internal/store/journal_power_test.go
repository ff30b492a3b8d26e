package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"jetstream/triggers"
)

// walSize is how long the log of the database is.
func walSize(t testing.TB, db *DB) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(db.writable.dir, File+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// cutPower copies the state directory as a power cut leaves it that takes what
// the database's log got after it was so long.
func cutPower(t testing.TB, db *DB, synced int64) (dir string) {
	t.Helper()
	dir = crash(t, db)
	if err := os.Truncate(filepath.Join(dir, File+"-wal"), synced); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestJournalStaysForWhatWritesNothing: the end of a transaction that changes
// nothing syncs nothing, so that the journal must not begin anew by it.
func TestJournalStaysForWhatWritesNothing(t *testing.T) {
	for name, update := range map[string]func(*DB) error{
		"reads": func(db *DB) error {
			_, err := db.Runs().Cancel(t.Context(), "nothing", "")
			return err
		},
		"writes what is there": func(db *DB) error { return db.SetMeta(t.Context(), "a", "b") },
	} {
		t.Run(name, func(t *testing.T) {
			db := openServer(t, t.TempDir())
			if err := db.SetMeta(t.Context(), "a", "b"); err != nil {
				t.Fatal(err)
			}
			synced := walSize(t, db)
			want := addRuns(t, db, 3)
			if err := db.settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			settled := walSize(t, db)
			if err := update(db); err != nil {
				t.Fatal(err)
			}
			if n := walSize(t, db); n > settled {
				synced = n
			}
			want = append(want, addRuns(t, db, 2)...)
			wantRuns(t, openServer(t, cutPower(t, db, synced)), want)
		})
	}
}

// TestNoGapAfterAPowerCut: an entry that was only marked is not on disk; what
// the journal takes after it must not leave a gap where it was.
func TestNoGapAfterAPowerCut(t *testing.T) {
	db := noted(t, t.TempDir())
	if err := db.SetMeta(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	synced := walSize(t, db)
	want := addRuns(t, db, 3)
	for _, r := range want[:2] {
		next, err := db.Runs().Next(t.Context())
		if err != nil || next.RunID != r.RunID {
			t.Fatal(next, err)
		}
		next.Status = triggers.StatusRunning
		if started, err := db.Runs().Start(t.Context(), next); !started || err != nil {
			t.Fatal(started, err)
		}
		want = append(want, addRuns(t, db, 1)...)
	}
	page, err := db.Entries().Entries(t.Context(), 0, 100)
	if err != nil || len(page) != 12 {
		t.Fatal(len(page), err)
	}
	again := openServer(t, cutPower(t, db, synced))
	wantRuns(t, again, want)
	if newest, err := again.Entries().Newest(t.Context()); err != nil || newest != 12 {
		t.Errorf("the newest entry is %d (%v)", newest, err)
	}
	wantRuns(t, openServer(t, crash(t, db)), want)
}

// TestJournalThatComesBack: a frame that was not taken, and then saved by the
// tables, is not taken up, also where a disk that failed has it all the same.
func TestJournalThatComesBack(t *testing.T) {
	db := openServer(t, t.TempDir())
	want := addRuns(t, db, 2)
	r := newRun("{}")
	j := db.journal
	end, newest := j.end, j.newest.Load()
	if err := j.append([]*triggers.Run{r}, db.lastRun+1, nil, 0); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	j.end, j.failed = end, errors.New("no")
	j.newest.Store(newest)
	if err := db.Runs().Update(t.Context(), func(tx triggers.Tx) error { return tx.InsertRun(r) }); err != nil {
		t.Fatal(err)
	}
	cut := crash(t, db)
	if err := os.WriteFile(filepath.Join(cut, journalFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := OpenServer(context.Background(), cut)
	if err != nil {
		t.Fatal(err)
	}
	wantRuns(t, again, append(want, r))
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
