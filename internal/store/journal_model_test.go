package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"jetstream/internal/api"
	"jetstream/internal/stream"
	"jetstream/triggers"
)

// model is what the database must hold: all runs in their order, and what each
// entry says.
type model struct {
	t       *testing.T
	rand    *rand.Rand
	db      *DB
	runs    []*triggers.Run
	pruned  map[string]*triggers.Run // a power cut may bring them back
	entries map[int64]string
	newest  int64 // entry
	durable int64 // the newest entry that survives a power cut
	synced  int64 // how much of the database's log survives a power cut
}

func (m *model) open(dir string) {
	m.t.Helper()
	db, err := OpenServer(context.Background(), dir)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = db.Close() })
	// No part of the log is ever used again, so that its length tells what is synced.
	if _, err := db.writer.ExecContext(context.Background(), "PRAGMA wal_autocheckpoint = 0"); err != nil {
		m.t.Fatal(err)
	}
	db.NoteRuns(m.note)
	db.journal.most = 1500 + m.rand.Int64N(15_000)
	m.db = db
	m.must(db.SetMeta(context.Background(), "opened", api.NewID())) // syncs what was found
	m.synced = walSize(m.t, db)
}

func (m *model) note(tx stream.Tx, r *triggers.Run) error {
	e := &stream.Entry{Type: "trigger." + string(r.Status), Data: []byte(`"` + r.RunID + " " + string(r.Status) + `"`)}
	tx.AfterCommit(func() {
		if e.ID != m.newest+1 {
			m.t.Errorf("an entry has number %d behind %d", e.ID, m.newest)
		}
		m.newest = e.ID
		m.entries[e.ID] = string(e.Data)
	})
	return tx.AppendEntry(e)
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// step does something and takes note of what is on disk then. full tells that
// it is to be when it is answered.
func (m *model) step(full bool, do func()) {
	turn, size, frames := m.db.journal.turn, walSize(m.t, m.db), m.db.journal.newest.Load()
	do()
	now := walSize(m.t, m.db)
	if m.db.journal.turn != turn || full && now > size {
		m.synced, m.durable = now, m.newest
		clear(m.pruned)
	} else if m.db.journal.newest.Load() != frames {
		m.durable = m.newest
	}
}

func (m *model) added(r *triggers.Run) {
	if n := len(m.runs); n > 0 && r.Seq <= m.runs[n-1].Seq {
		m.t.Errorf("a run has number %d behind %d", r.Seq, m.runs[n-1].Seq)
	}
	m.runs = append(m.runs, r)
}

// add carries out several updates in one commit, some of which fail.
func (m *model) add() {
	var batch []*request
	var made [][]*triggers.Run
	plain := m.rand.IntN(3) > 0
	for range 1 + m.rand.IntN(6) {
		kind := 0
		if !plain {
			kind = m.rand.IntN(6)
		}
		runs := []*triggers.Run{newRun("{}")}
		r := inserting(nil, runs...)
		switch kind {
		case 1:
			runs = append(runs, newRun(`"`+strings.Repeat("x", m.rand.IntN(3000))+`"`))
			r = inserting(nil, runs...)
		case 2:
			r = inserting(errors.New("no"), runs...)
			runs = nil
		case 3:
			one := r.fn
			r.fn = func(tx *tx) error { panic(fmt.Sprint(one(tx))) }
			runs = nil
		case 4:
			one := r.fn
			r.fn = func(tx *tx) error {
				_, err := tx.exec(setMeta, "a", api.NewID())
				return errors.Join(err, one(tx))
			}
		case 5:
			one := r.fn
			r.fn = func(tx *tx) error {
				_, err := tx.exec(setMeta, "a", api.NewID())
				return errors.Join(err, one(tx), errors.New("no"))
			}
			runs = nil
		}
		batch, made = append(batch, r), append(made, runs)
	}
	m.step(true, func() {
		for i, err := range outcomes(m.db, batch...) {
			if (err == nil) != (made[i] != nil) {
				m.t.Errorf("%d updates, of the %d-th: %v", len(batch), i+1, err)
			}
			for _, r := range made[i] {
				m.added(r)
			}
		}
	})
}

func (m *model) some(status triggers.Status) *triggers.Run {
	var of []*triggers.Run
	for _, r := range m.runs {
		if r.Status == status {
			of = append(of, r)
		}
	}
	if len(of) == 0 {
		return nil
	}
	return of[m.rand.IntN(len(of))]
}

// next is what must go first.
func (m *model) next() (first *triggers.Run) {
	for _, r := range m.runs {
		if r.Status == triggers.StatusQueued && (first == nil || r.Place().Before(first.Place())) {
			first = r
		}
	}
	return first
}

func (m *model) start() {
	few, err := m.db.Runs().NextFew(m.t.Context(), 3)
	m.must(err)
	want := m.next()
	if want == nil || len(few) == 0 {
		if want != nil || len(few) > 0 {
			m.t.Errorf("next are %d runs, want %v", len(few), want)
		}
		return
	}
	if few[0].RunID != want.RunID {
		m.t.Errorf("next is run %d, want %d", few[0].Seq, want.Seq)
	}
	run := few[0]
	run.Status, run.StartTime = triggers.StatusRunning, 1
	ended := m.some(triggers.StatusRunning)
	started := false
	m.step(false, func() {
		if ended != nil && m.rand.IntN(2) == 0 {
			ended.Status, ended.EndTime = triggers.StatusSuccess, 2
			started, err = m.db.Runs().EndAndStart(m.t.Context(), ended, run)
		} else {
			started, err = m.db.Runs().Start(m.t.Context(), run)
		}
	})
	if err != nil || !started {
		m.t.Fatalf("run %d is started: %v, %v", run.Seq, started, err)
	}
	want.Status, want.StartTime = run.Status, run.StartTime
}

func (m *model) end() {
	r := m.some(triggers.StatusRunning)
	if r == nil {
		return
	}
	if m.rand.IntN(3) > 0 {
		r.Status, r.EndTime = triggers.StatusFailed, 2
		m.step(false, func() { m.must(m.db.Runs().Mark(m.t.Context(), r)) })
		return
	}
	again := newRun("{}")
	again.Urgent = math.MaxInt64/2 - r.Seq
	r.Status, r.EndTime = triggers.StatusInterrupted, 2
	m.step(true, func() { m.must(m.db.Runs().Interrupt(m.t.Context(), r, again)) })
	m.added(again)
}

func (m *model) cancel() {
	id := "none"
	r := m.some(triggers.StatusQueued)
	if r != nil && m.rand.IntN(2) == 0 {
		id, r.Status, r.EndTime = r.RunID, triggers.StatusCancelled, 2
	}
	m.step(true, func() {
		cancelled, err := m.db.Runs().Cancel(m.t.Context(), id, "")
		m.must(err)
		if cancelled != (id != "none") {
			m.t.Errorf("cancelled: %v", cancelled)
		}
	})
}

func (m *model) prune() {
	keep := m.rand.IntN(10)
	m.step(false, func() { m.must(m.db.Runs().Prune(m.t.Context(), keep, math.MaxInt64)) })
	var stay []*triggers.Run
	for _, r := range slices.Backward(m.runs) {
		if r.EndTime > 0 {
			if keep--; keep < 0 {
				m.pruned[r.RunID] = r
				continue
			}
		}
		stay = append(stay, r)
	}
	slices.Reverse(stay)
	m.runs = stay
}

// check compares all that there is.
func (m *model) check() {
	m.t.Helper()
	page, _, err := m.db.Runs().Runs(m.t.Context(), triggers.Filter{Limit: 10_000})
	m.must(err)
	slices.Reverse(page)
	line := func(r *triggers.Run) string { return fmt.Sprintf("%d %s %s", r.Seq, r.RunID, r.Status) }
	var got, want []string
	for _, r := range page {
		got = append(got, line(&r))
	}
	for _, r := range m.runs {
		want = append(want, line(r))
	}
	if !slices.Equal(got, want) {
		m.t.Fatalf("there are %d runs, want %d:\n%s\n\n%s", len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	m.checkEntries()
}

func (m *model) checkEntries() {
	m.t.Helper()
	entries, err := m.db.Entries().Entries(m.t.Context(), 0, 100_000)
	m.must(err)
	if int64(len(entries)) != m.newest {
		m.t.Fatalf("there are %d entries, want %d", len(entries), m.newest)
	}
	for i, e := range entries {
		if e.ID != int64(i+1) || string(e.Data) != m.entries[e.ID] {
			m.t.Fatalf("entry %d is %d %s, want %s", i+1, e.ID, e.Data, m.entries[e.ID])
		}
	}
}

// kill goes on with what a kill leaves, amid the writing of a frame.
func (m *model) kill() {
	dir := crash(m.t, m.db)
	m.tear(dir)
	m.open(dir)
	m.durable = m.newest
	clear(m.pruned)
	m.check()
}

// tear leaves half a frame behind the last one.
func (m *model) tear(dir string) {
	f, err := os.OpenFile(filepath.Join(dir, journalFile), os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	m.must(err)
	torn := make([]byte, m.rand.IntN(200))
	for i := range torn {
		torn[i] = byte(m.rand.Uint32())
	}
	m.must(errors.Join(writeAt(f, torn, m.db.journal.end), f.Close()))
}

// cut goes on with what a power cut leaves: all runs that were answered, and
// all entries up to the newest that is on disk or a later one. What was only
// marked may be lost.
func (m *model) cut() {
	size := walSize(m.t, m.db)
	dir := cutPower(m.t, m.db, m.synced+m.rand.Int64N(size-m.synced+1))
	m.tear(dir)
	m.open(dir)
	page, _, err := m.db.Runs().Runs(m.t.Context(), triggers.Filter{Limit: 10_000})
	m.must(err)
	slices.Reverse(page)
	known := map[string]*triggers.Run{}
	for _, r := range m.runs {
		known[r.RunID] = r
	}
	var now []*triggers.Run
	for _, r := range page {
		k, ok := known[r.RunID]
		if !ok {
			k, ok = m.pruned[r.RunID]
		}
		if !ok || k.Seq != r.Seq {
			m.t.Fatalf("run %s has number %d, want %v", r.RunID, r.Seq, k)
		}
		delete(known, r.RunID)
		now = append(now, &r)
	}
	if len(known) > 0 {
		m.t.Fatalf("%d runs of %d are lost", len(known), len(m.runs))
	}
	m.runs = now
	newest, err := m.db.Entries().Newest(m.t.Context())
	m.must(err)
	if newest < m.durable || newest > m.newest {
		m.t.Fatalf("the newest entry is %d, was %d, of which %d are on disk", newest, m.newest, m.durable)
	}
	m.newest, m.durable = newest, newest
	clear(m.pruned)
	m.checkEntries()
}

// TestJournalAgainstAModel does what a server does with runs, in any order,
// with kills and power cuts in between.
func TestJournalAgainstAModel(t *testing.T) {
	for range modelRounds {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &model{t: t, rand: rand.New(rand.NewPCG(seed, 0)), pruned: map[string]*triggers.Run{}, entries: map[int64]string{}}
			m.open(t.TempDir())
			for range 120 {
				switch m.rand.IntN(24) {
				case 0, 1, 2, 3, 4, 5:
					m.add()
				case 6, 7, 8, 9, 10:
					m.start()
				case 11, 12, 13:
					m.end()
				case 14, 15:
					m.cancel()
				case 16:
					m.prune()
				case 17:
					m.step(false, func() { m.must(m.db.settle(t.Context())) })
				case 18:
					m.step(true, func() { m.must(m.db.SetMeta(t.Context(), "a", "b")) })
				case 19:
					m.step(true, func() { m.must(m.db.SetMeta(t.Context(), "a", api.NewID())) })
				case 20:
					m.step(false, m.check)
				case 21:
					m.kill()
				case 22, 23:
					m.cut()
				}
				if t.Failed() {
					return
				}
			}
			m.check()
		})
	}
}

const modelRounds = 3
