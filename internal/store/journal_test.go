package store

import (
	"context"
	"errors"
	"io"
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

// openServer opens dir as the server does.
func openServer(t testing.TB, dir string) *DB {
	t.Helper()
	return opened(t, dir, OpenServer)
}

// addRun is an update that adds a run, and an entry that has its id.
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

// crash copies the state directory of a running server, as a kill leaves it.
func crash(t testing.TB, db *DB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files, err := filepath.Glob(filepath.Join(db.writable.dir, "*"))
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

// inTables counts the runs that the tables have.
func inTables(t testing.TB, db *DB) (n int) {
	t.Helper()
	if err := db.readers.QueryRowContext(t.Context(), "SELECT count(*) FROM runs").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// wantRuns checks that the database holds just these runs, in their order and
// under their numbers, and their entries under numbers without a gap.
func wantRuns(t testing.TB, db *DB, want []*triggers.Run) {
	t.Helper()
	page, _, err := db.Runs().Runs(t.Context(), triggers.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(page)
	var got []string
	for i, r := range page {
		got = append(got, r.RunID)
		if i < len(want) && r.Seq != want[i].Seq {
			t.Errorf("run %d has number %d, and was told %d", i, r.Seq, want[i].Seq)
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

// TestJournalIsReadByAll: what is only in the journal is found by whoever asks,
// under the number that it was told.
func TestJournalIsReadByAll(t *testing.T) {
	ctx := context.Background()
	for name, look := range map[string]func(*DB, *triggers.Run, *stream.Entry) bool{
		"Runs": func(db *DB, r *triggers.Run, _ *stream.Entry) bool {
			page, _, err := db.Runs().Runs(ctx, triggers.Filter{Status: triggers.StatusQueued, Limit: 10})
			return err == nil && len(page) == 1 && page[0].RunID == r.RunID && page[0].Seq == r.Seq
		},
		"Run": func(db *DB, r *triggers.Run, _ *stream.Entry) bool {
			got, err := db.Runs().Run(ctx, r.RunID)
			return err == nil && got.Seq == r.Seq && string(got.Parameters) == string(r.Parameters) && got.Key == r.Key
		},
		"Next": func(db *DB, r *triggers.Run, _ *stream.Entry) bool {
			got, err := db.Runs().Next(ctx)
			return err == nil && got != nil && got.RunID == r.RunID
		},
		"NextFew": func(db *DB, r *triggers.Run, _ *stream.Entry) bool {
			few, err := db.Runs().NextFew(ctx, 10)
			return err == nil && len(few) == 1 && few[0].RunID == r.RunID
		},
		"NextBehind": func(db *DB, r *triggers.Run, _ *stream.Entry) bool {
			got, _, err := db.Runs().NextBehind(ctx, triggers.Front(), nil)
			return err == nil && got != nil && got.RunID == r.RunID
		},
		"NextOf": func(db *DB, r *triggers.Run, _ *stream.Entry) bool {
			got, err := db.Runs().NextOf(ctx, r.Key)
			return err == nil && got != nil && got.RunID == r.RunID
		},
		"Oldest": func(db *DB, r *triggers.Run, _ *stream.Entry) bool {
			oldest, err := db.Runs().Oldest(ctx)
			return err == nil && oldest == r.QueueTime
		},
		"Waiting": func(db *DB, _ *triggers.Run, _ *stream.Entry) bool {
			n, err := db.Runs().Waiting(ctx)
			return err == nil && n == 1
		},
		"Cancel": func(db *DB, r *triggers.Run, _ *stream.Entry) bool {
			cancelled, err := db.Runs().Cancel(ctx, r.RunID, "no")
			return err == nil && cancelled
		},
		"Retry": func(db *DB, r *triggers.Run, _ *stream.Entry) bool {
			_, err := db.Runs().Retry(ctx, r.RunID, func(triggers.Run) *triggers.Run { return nil })
			return errors.Is(err, &api.Error{Code: api.CodeConflict})
		},
		"Entries": func(db *DB, _ *triggers.Run, e *stream.Entry) bool {
			page, err := db.Entries().Entries(ctx, 0, 10)
			return err == nil && len(page) == 1 && page[0].ID == e.ID && string(page[0].Data) == string(e.Data)
		},
		"Newest": func(db *DB, _ *triggers.Run, e *stream.Entry) bool {
			id, err := db.Entries().Newest(ctx)
			return err == nil && id == e.ID
		},
		"EntryPage": func(db *DB, _ *triggers.Run, e *stream.Entry) bool {
			page, err := db.Entries().EntryPage(ctx, stream.PageQuery{All: true, Limit: 10}, 0, 100)
			return err == nil && len(page) == 1 && page[0].ID == e.ID
		},
		"Oldest entry": func(db *DB, _ *triggers.Run, e *stream.Entry) bool {
			id, _, err := db.Entries().Oldest(ctx, 0)
			return err == nil && id == e.ID
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := openServer(t, t.TempDir())
			r, e := addRun(t, db)
			if r.Seq != 1 || e.ID != 1 {
				t.Errorf("the first run has number %d, the first entry %d", r.Seq, e.ID)
			}
			if n := inTables(t, db); n != 0 || !db.journal.behind() {
				t.Fatalf("the tables have %d runs; this test shows nothing", n)
			}
			if !look(db, r, e) {
				t.Error("it is not found")
			}
		})
	}
}

// TestJournalKeepsTheOrder: whichever way runs are saved, their numbers are in
// the order of their updates, and the first queued goes first.
func TestJournalKeepsTheOrder(t *testing.T) {
	db := openServer(t, t.TempDir())
	var want []*triggers.Run
	for range 5 {
		want = append(want, addRuns(t, db, 3)...)
		// A run that belongs to another change goes straight into the tables.
		r := newRun("{}")
		err := db.update(t.Context(), func(tx *tx) error {
			_, err := tx.exec(setMeta, "a", "b")
			return errors.Join(err, tx.InsertRun(r))
		})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, r)
		failed := db.update(t.Context(), func(tx *tx) error {
			_, err := tx.exec(setMeta, "a", "c")
			return errors.Join(err, tx.InsertRun(newRun("{}")), tx.AppendEntry(&stream.Entry{Type: "a", Data: []byte("{}")}), errors.New("no"))
		})
		if failed == nil {
			t.Fatal("it was saved")
		}
		want = append(want, addRuns(t, db, 2)...)
		// A mark leaves what is in the journal there, and has an entry as well.
		next, err := db.Runs().Next(t.Context())
		if err != nil || next.RunID != want[0].RunID {
			t.Fatalf("next is %v (%v)", next, err)
		}
		want = append(want, addRuns(t, db, 2)...)
		before := inTables(t, db)
		next.EndTime, next.Status = 0, triggers.StatusQueued
		if err := db.Runs().Mark(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		if n := inTables(t, db); n != before || !db.journal.behind() {
			t.Errorf("a mark put %d runs into the tables", n-before)
		}
	}
	for i, r := range want {
		if i > 0 && r.Seq <= want[i-1].Seq {
			t.Errorf("run %d has number %d behind %d", i, r.Seq, want[i-1].Seq)
		}
	}
	wantRuns(t, db, want)
}

// TestJournalSurvivesAKill at any moment: all that was answered is there again,
// once, in its order; nothing that came before the kill comes again after the
// next one.
func TestJournalSurvivesAKill(t *testing.T) {
	db := openServer(t, t.TempDir())
	var want []*triggers.Run
	for round := range 6 {
		want = append(want, addRuns(t, db, 1+round)...)
		switch round % 3 {
		case 1: // the tables have it, but not yet on disk
			if err := db.settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			want = append(want, addRuns(t, db, 2)...)
		case 2: // the journal has begun anew
			if err := db.SetMeta(t.Context(), "a", "b"); err != nil {
				t.Fatal(err)
			}
			if db.journal.end != 0 {
				t.Fatal("the journal goes on")
			}
			want = append(want, addRuns(t, db, 2)...)
		}
		killed := crash(t, db)
		for range 2 {
			again := openServer(t, killed)
			wantRuns(t, again, want)
			killed = crash(t, again)
		}
		db = openServer(t, killed)
	}
	wantRuns(t, db, want)
}

// TestJournalCutShort: a frame that is not whole on disk was never answered; it
// is not there, and all before it are.
func TestJournalCutShort(t *testing.T) {
	db := openServer(t, t.TempDir())
	want := addRuns(t, db, 3)
	whole := db.journal.end
	addRuns(t, db, 1)
	last := db.journal.end - whole
	for _, damage := range []struct {
		name string
		do   func(*os.File) error
	}{
		{"cut within the rows", func(f *os.File) error { return f.Truncate(whole + last - 1) }},
		{"cut within the head", func(f *os.File) error { return f.Truncate(whole + frameHead - 1) }},
		{"cut before it", func(f *os.File) error { return f.Truncate(whole) }},
		{"not written", func(f *os.File) error { return writeAt(f, make([]byte, last), whole) }},
		{"head not written", func(f *os.File) error { return writeAt(f, make([]byte, frameHead), whole) }},
		{"rows not written", func(f *os.File) error { return writeAt(f, make([]byte, 10), whole+frameHead+5) }},
		{"a bit has changed", func(f *os.File) error { return flip(f, whole+last/2) }},
		{"its length has changed", func(f *os.File) error { return flip(f, whole+7) }},
		{"its number has changed", func(f *os.File) error { return flip(f, whole+17) }},
	} {
		t.Run(damage.name, func(t *testing.T) {
			killed := crash(t, db)
			f, err := os.OpenFile(filepath.Join(killed, journalFile), os.O_RDWR, 0)
			if err == nil {
				err = errors.Join(damage.do(f), f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
			again := openServer(t, killed)
			wantRuns(t, again, want)
			// It goes on where it was.
			wantRuns(t, again, append(slices.Clone(want), addRuns(t, again, 2)...))
		})
	}
}

func writeAt(f *os.File, b []byte, at int64) error {
	_, err := f.WriteAt(b, at)
	return err
}

func flip(f *os.File, at int64) error {
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return err
	}
	b[0] ^= 4
	return writeAt(f, b[:], at)
}

// TestJournalOfAnother: neither the frames of an earlier turn nor the journal of
// another database are taken for commits.
func TestJournalOfAnother(t *testing.T) {
	db := openServer(t, t.TempDir())
	want := addRuns(t, db, 5) // of one length each, so that the next turn's first ends where one of these does
	if err := db.SetMeta(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	want = append(want, addRuns(t, db, 1)...)
	killed := crash(t, db)
	wantRuns(t, openServer(t, killed), want)

	other := t.TempDir()
	text, err := os.ReadFile(filepath.Join(crash(t, db), journalFile))
	if err == nil {
		err = os.WriteFile(filepath.Join(other, journalFile), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	wantRuns(t, openServer(t, other), nil)
}

// TestJournalAfterHalfACommit: a disk may have kept the second of two frames and
// not the first, neither of which was answered. The second does not come back
// when another takes the first one's place.
func TestJournalAfterHalfACommit(t *testing.T) {
	db := openServer(t, t.TempDir())
	addRuns(t, db, 2)
	killed := crash(t, db)
	f, err := os.OpenFile(filepath.Join(killed, journalFile), os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(flip(f, frameHead+5), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	again := openServer(t, killed)
	wantRuns(t, again, nil)
	want := addRuns(t, again, 1)
	wantRuns(t, openServer(t, crash(t, again)), want)
}

// TestJournalOutlivesAPowerCut, which takes what the tables got and was not
// synced.
func TestJournalOutlivesAPowerCut(t *testing.T) {
	db := openServer(t, t.TempDir())
	wal := filepath.Join(db.writable.dir, File+"-wal")
	if err := db.SetMeta(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	synced, err := os.Stat(wal)
	if err != nil {
		t.Fatal(err)
	}
	want := addRuns(t, db, 3)
	if err := db.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	want[0].Status = triggers.StatusRunning
	if started, err := db.Runs().Start(t.Context(), want[0]); !started || err != nil {
		t.Fatal(started, err)
	}
	want = append(want, addRuns(t, db, 1)...)
	cut := crash(t, db)
	if err := os.Truncate(filepath.Join(cut, File+"-wal"), synced.Size()); err != nil {
		t.Fatal(err)
	}
	wantRuns(t, openServer(t, cut), want)
}

// TestJournalFull: what finds no room in the journal goes into the tables, with
// all that is there, and the journal begins anew.
func TestJournalFull(t *testing.T) {
	db := openServer(t, t.TempDir())
	db.journal.most = 4000
	var want []*triggers.Run
	turns, end := 0, int64(0)
	for range 40 {
		want = append(want, addRuns(t, db, 1)...)
		if db.journal.end < end {
			turns++
		}
		if end = db.journal.end; end > 4000 {
			t.Fatalf("the journal has %d bytes", end)
		}
	}
	if turns < 2 {
		t.Errorf("the journal began anew %d times", turns)
	}
	large := newRun(`"` + strings.Repeat("x", 5000) + `"`)
	if err := db.update(t.Context(), func(tx *tx) error { return tx.InsertRun(large) }); err != nil {
		t.Fatal(err)
	}
	killed := crash(t, db)
	wantRuns(t, openServer(t, killed), append(want, large))
}

// TestJournalBeginsAnewInTime: a journal of which there is much, and which the
// tables have, begins anew with the next commit instead of when it is full.
func TestJournalBeginsAnewInTime(t *testing.T) {
	db := openServer(t, t.TempDir())
	db.journal.most = 4000
	var want []*triggers.Run
	for db.journal.end < db.journal.most/manyShare {
		want = append(want, addRuns(t, db, 1)...)
	}
	db.background.Wait()
	if err := db.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	much := db.journal.end
	want = append(want, addRuns(t, db, 1)...)
	if db.journal.end >= much {
		t.Errorf("the journal went from %d to %d bytes", much, db.journal.end)
	}
	wantRuns(t, openServer(t, crash(t, db)), want)
}

// TestJournalThatFails: what a disk does not take is saved by the tables, and
// the next journal is another file.
func TestJournalThatFails(t *testing.T) {
	db := openServer(t, t.TempDir())
	want := addRuns(t, db, 2)
	if err := db.journal.file.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(db.journal.path) // it can be read, and not written
	if err != nil {
		t.Fatal(err)
	}
	db.journal.file = f
	want = append(want, addRuns(t, db, 1)...)
	if n := inTables(t, db); n != 3 {
		t.Errorf("the tables have %d runs of 3", n)
	}
	want = append(want, addRuns(t, db, 1)...)
	if n := inTables(t, db); n != 3 || !db.journal.behind() {
		t.Errorf("the tables have %d runs; the journal takes nothing again", n)
	}
	wantRuns(t, openServer(t, crash(t, db)), want)
}

// TestJournalEnds: a server that stops leaves all in the tables and no journal.
func TestJournalEnds(t *testing.T) {
	dir := t.TempDir()
	db := openServer(t, dir)
	want := addRuns(t, db, 3)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, journalFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the journal is still there: %v", err)
	}
	wantRuns(t, openServer(t, dir), want)
}

// TestJournalUnderLoad: many add while others read, mark and change, and the
// journal is so small that it is imported all the time. What each one was told
// holds at once and after a kill.
func TestJournalUnderLoad(t *testing.T) {
	db := openServer(t, t.TempDir())
	db.journal.most = 60_000
	var mu sync.Mutex
	var all []*triggers.Run
	var adding, others sync.WaitGroup
	stop := make(chan struct{})
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
			for {
				select {
				case <-stop:
					return
				default:
				}
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
	close(stop)
	others.Wait()
	slices.SortFunc(all, func(a, b *triggers.Run) int { return int(a.Seq - b.Seq) })
	wantRuns(t, db, all)
	wantRuns(t, openServer(t, crash(t, db)), all)
}

// FuzzJournal reads whatever is in the file: no byte of it may end the server.
func FuzzJournal(f *testing.F) {
	dir := f.TempDir()
	j := &journal{path: filepath.Join(dir, journalFile), most: journalSize}
	for range 3 {
		r := newRun(`{"a":"\x00é"}`)
		if err := j.append([]*triggers.Run{r, r}, 7, []*stream.Entry{{Type: "a", User: "b", Data: []byte("{}")}}, 9); err != nil {
			f.Fatal(err)
		}
	}
	text := make([]byte, j.end)
	if _, err := j.file.ReadAt(text, 0); err != nil && !errors.Is(err, io.EOF) {
		f.Fatal(err)
	}
	if err := j.remove(); err != nil {
		f.Fatal(err)
	}
	f.Add(text, uint64(0))
	f.Add(text[:len(text)/2], uint64(1))
	f.Add(text[frameHead:], uint64(2))
	f.Fuzz(func(t *testing.T, text []byte, number uint64) {
		j := &journal{path: filepath.Join(t.TempDir(), journalFile), most: journalSize}
		if err := os.WriteFile(j.path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := j.takeUp(0, number); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = j.remove() }()
		for at := j.next; at < j.end; {
			frame, err := j.frameAt(at)
			if err != nil {
				t.Fatalf("what was found is not found again: %v", err)
			}
			_, _, _, _ = readRows(frame.rows)
			at += frame.size
		}
		_, _, _, _ = readRows(text)
	})
}
