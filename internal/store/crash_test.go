package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"jetstream/internal/api"
	"jetstream/internal/stream"
	"jetstream/triggers"
)

// addRun adds a run, and an entry that has its id.
func addRun(t testing.TB, db *DB) (*triggers.Run, *stream.Entry) {
	t.Helper()
	r := newRun(`{"a":1}`)
	e := &stream.Entry{Type: "trigger.queued", Time: api.Now(), User: "alice", Data: []byte(`{"runId":"` + r.RunID + `"}`)}
	err := db.update(t.Context(), func(tx *tx) error { return errors.Join(tx.InsertRun(r), tx.AppendEntry(e)) })
	if err != nil {
		t.Fatal(err)
	}
	return r, e
}

func addRuns(t testing.TB, db *DB, n int) (added []*triggers.Run) {
	t.Helper()
	for range n {
		r, _ := addRun(t, db)
		added = append(added, r)
	}
	return added
}

// killedCopy copies the state directory of a running server, as kill -9 at this
// moment would leave it.
func killedCopy(t testing.TB, db *DB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files, err := filepath.Glob(filepath.Join(db.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(name)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// walSize is how long the database's write-ahead log is.
func walSize(t testing.TB, db *DB) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(db.dir, File+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// cutPower copies the state directory as a power cut leaves it that takes what
// the write-ahead log got after it was so long.
func cutPower(t testing.TB, db *DB, synced int64) (dir string) {
	t.Helper()
	dir = killedCopy(t, db)
	if err := os.Truncate(filepath.Join(dir, File+"-wal"), synced); err != nil {
		t.Fatal(err)
	}
	return dir
}

// wantRuns checks that the database holds just these runs, in their order and
// under their numbers, and entries under numbers without a gap.
func wantRuns(t testing.TB, db *DB, want []*triggers.Run) {
	t.Helper()
	page, _, err := db.Runs().Runs(t.Context(), triggers.Filter{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(page)
	var got []string
	for i, r := range page {
		got = append(got, r.RunID)
		if i < len(want) && r.Seq != want[i].Seq {
			t.Errorf("run %d has number %d, and got %d", i, r.Seq, want[i].Seq)
		}
	}
	if !slices.Equal(got, ids(want...)) {
		t.Errorf("there are %d runs, want %d:\n%q\n%q", len(got), len(want), got, ids(want...))
	}
	entries, err := db.Entries().Entries(t.Context(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if e.ID != int64(i+1) {
			t.Fatalf("entry %d has number %d", i+1, e.ID)
		}
	}
}

// TestAKillAtAnyStageOfACommit leaves what was committed until then, whole, and
// nothing else.
func TestAKillAtAnyStageOfACommit(t *testing.T) {
	large := func() *triggers.Run { return newRun(`"` + strings.Repeat("x", 3<<20) + `"`) } // does not fit into SQLite's memory
	// Each stage is that of two updates in one transaction, at which kill is called.
	stages := map[string]struct {
		committed bool
		updates   func(kill func()) []func(*tx) error
	}{
		"before the first statement": {false, func(kill func()) []func(*tx) error {
			return []func(*tx) error{func(*tx) error { kill(); return nil }, inserting(nil, newRun("{}"))}
		}},
		"between two updates": {false, func(kill func()) []func(*tx) error {
			return []func(*tx) error{
				func(tx *tx) error { _, err := tx.exec(setMeta, "a", "b"); return err },
				func(tx *tx) error { kill(); return tx.InsertRun(newRun("{}")) },
			}
		}},
		"with much of it in the write-ahead log": {false, func(kill func()) []func(*tx) error {
			return []func(*tx) error{
				func(tx *tx) error { return errors.Join(tx.InsertRun(large()), tx.InsertRun(large()), tx.begin()) },
				func(tx *tx) error {
					_, err := tx.exec(setMeta, "a", "b")
					kill()
					return err
				},
			}
		}},
		"after an update was undone": {false, func(kill func()) []func(*tx) error {
			return []func(*tx) error{
				func(tx *tx) error {
					return errors.Join(tx.InsertRun(newRun("{}")), tx.begin(), errors.New("no"))
				},
				func(*tx) error { kill(); return nil },
			}
		}},
		"after the commit, before the answer": {true, func(kill func()) []func(*tx) error {
			return []func(*tx) error{
				func(tx *tx) error { tx.AfterCommit(kill); return nil },
				func(*tx) error { return nil },
			}
		}},
	}
	for name, stage := range stages {
		t.Run(name, func(t *testing.T) {
			db := openWithRunEntries(t, t.TempDir())
			want := addRuns(t, db, 3)
			var killed string
			updates := stage.updates(func() { killed = killedCopy(t, db) })
			if stage.committed {
				r := newRun("{}")
				updates = append(updates, inserting(nil, r))
				want = append(want, r)
			}
			commit(db, updates...)
			again := openWithRunEntries(t, killed)
			wantRuns(t, again, want)
			if v, err := again.Meta(t.Context(), "a"); v != "" || err != nil {
				t.Errorf("half of a transaction is there: %q (%v)", v, err)
			}
			want = append(want, addRuns(t, again, 2)...) // it goes on
			wantRuns(t, openDir(t, killedCopy(t, again)), want)
		})
	}
}

// TestAPowerCutTakesMarksOnly: what an update was answered for is on disk; a
// mark that no update followed may be lost, and leaves no gap among the entries.
func TestAPowerCutTakesMarksOnly(t *testing.T) {
	db := openWithRunEntries(t, t.TempDir())
	want := addRuns(t, db, 3)
	synced := walSize(t, db)
	r := want[0]
	r.Status = triggers.StatusRunning
	if started, err := db.Runs().Start(t.Context(), r); !started || err != nil {
		t.Fatal(started, err)
	}
	marked := walSize(t, db)
	if marked == synced {
		t.Fatal("a mark wrote nothing; this test shows nothing")
	}
	status := func(dir string) triggers.Status {
		t.Helper()
		again := openDir(t, dir)
		wantRuns(t, again, want)
		got, err := again.Runs().Run(t.Context(), r.RunID)
		if err != nil {
			t.Fatal(err)
		}
		return got.Status
	}
	for _, size := range []int64{synced, synced + 1, (synced + marked) / 2, marked - 1} {
		if got := status(cutPower(t, db, size)); got != triggers.StatusQueued {
			t.Errorf("cut at %d of %d to %d: the run is %s", size, synced, marked, got)
		}
	}
	if got := status(killedCopy(t, db)); got != triggers.StatusRunning {
		t.Errorf("after a kill the run is %s", got)
	}
	want = append(want, addRuns(t, db, 1)...)
	if got := status(cutPower(t, db, walSize(t, db))); got != triggers.StatusRunning {
		t.Errorf("after another update was answered the run is %s", got)
	}
}

// TestAWriteThatWasCutShortIsNotThere: of the last transaction a disk may have
// kept any part when the power went.
func TestAWriteThatWasCutShortIsNotThere(t *testing.T) {
	db := openDir(t, t.TempDir())
	want := addRuns(t, db, 3)
	whole := walSize(t, db)
	addRuns(t, db, 1)
	last := walSize(t, db) - whole
	for name, damage := range map[string]func(*os.File) error{
		"cut before it":             func(f *os.File) error { return f.Truncate(whole) },
		"cut within its first page": func(f *os.File) error { return f.Truncate(whole + 1000) },
		"cut before its end":        func(f *os.File) error { return f.Truncate(whole + last - 1) },
		"begin not written":         func(f *os.File) error { return writeAt(f, make([]byte, 4096), whole) },
		"end not written":           func(f *os.File) error { return writeAt(f, make([]byte, 4096), whole+last-4096) },
		"a bit has changed":         func(f *os.File) error { return flipBit(f, whole+last/2) },
	} {
		t.Run(name, func(t *testing.T) {
			killed := killedCopy(t, db)
			f, err := os.OpenFile(filepath.Join(killed, File+"-wal"), os.O_RDWR, 0)
			if err == nil {
				err = errors.Join(damage(f), f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
			again := openDir(t, killed)
			wantRuns(t, again, want)
			wantRuns(t, again, append(slices.Clone(want), addRuns(t, again, 2)...)) // it goes on
		})
	}
}

func writeAt(f *os.File, b []byte, at int64) error {
	_, err := f.WriteAt(b, at)
	return err
}

func flipBit(f *os.File, at int64) error {
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return err
	}
	b[0] ^= 4
	return writeAt(f, b[:], at)
}

// TestWhatWasAnsweredHoldsUnderLoad: many add while others read, mark and
// change. What each one was told is found at once, and after a kill.
func TestWhatWasAnsweredHoldsUnderLoad(t *testing.T) {
	db := openDir(t, t.TempDir())
	var mu sync.Mutex
	var all []*triggers.Run
	var adding, others sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 8 {
		adding.Go(func() {
			for range 100 {
				r, e := addRun(t, db)
				got, err := db.Runs().Run(t.Context(), r.RunID)
				if err != nil || got.Seq != r.Seq {
					t.Errorf("run %d is found as %d (%v)", r.Seq, got.Seq, err)
				}
				if page, err := db.Entries().Entries(t.Context(), e.ID-1, 1); err != nil || len(page) != 1 || page[0].ID != e.ID || string(page[0].Data) != string(e.Data) {
					t.Errorf("entry %d is not found (%v)", e.ID, err)
				}
				mu.Lock()
				all = append(all, r)
				mu.Unlock()
			}
		})
	}
	again := func(do func() error) {
		others.Go(func() {
			for ctx.Err() == nil {
				if err := do(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	again(func() error { return db.SetMeta(t.Context(), "a", "b") })
	again(func() error {
		r, err := db.Runs().Next(t.Context())
		if r == nil || err != nil {
			return err
		}
		_, err = db.Runs().Start(t.Context(), r)
		return err
	})
	adding.Wait()
	stop()
	others.Wait()
	slices.SortFunc(all, func(a, b *triggers.Run) int { return int(a.Seq - b.Seq) })
	wantRuns(t, db, all)
	wantRuns(t, openDir(t, killedCopy(t, db)), all)
}
