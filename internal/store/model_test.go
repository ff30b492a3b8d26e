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
	entries map[int64]string
	modelState
	// commits are the states since the last one that a power cut leaves, that
	// one first.
	commits []modelState
	synced  int64 // how much of the write-ahead log a power cut leaves
}

type modelState struct {
	runs   []triggers.Run
	newest int64 // entry
}

func (s modelState) String() string {
	var b strings.Builder
	for _, r := range s.runs {
		fmt.Fprintf(&b, "%d %s %s\n", r.Seq, r.RunID, r.Status)
	}
	return fmt.Sprintf("%s%d entries", b.String(), s.newest)
}

func (m *model) open(dir string) {
	m.t.Helper()
	db, err := Open(context.Background(), dir)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = db.Close() })
	// No part of the log is ever used again, so that its length tells what is synced.
	if _, err := db.writer.conn.ExecContext(context.Background(), "PRAGMA wal_autocheckpoint = 0"); err != nil {
		m.t.Fatal(err)
	}
	db.OnRunChange(m.note)
	m.db = db
	m.must(db.SetMeta(context.Background(), "opened", api.NewID())) // syncs what was found
	m.synced, m.commits = walSize(m.t, db), nil
	m.committed()
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

func (m *model) committed() {
	m.commits = append(m.commits, modelState{slices.Clone(m.runs), m.newest})
}

// step carries out one transaction. synced tells that it is to be on disk when
// it is answered.
func (m *model) step(synced bool, do func()) {
	m.t.Helper()
	before := walSize(m.t, m.db)
	do()
	if now := walSize(m.t, m.db); synced && now > before {
		m.synced, m.commits = now, nil
	}
	m.committed()
}

func (m *model) added(r *triggers.Run) {
	if n := len(m.runs); n > 0 && r.Seq <= m.runs[n-1].Seq {
		m.t.Errorf("a run has number %d behind %d", r.Seq, m.runs[n-1].Seq)
	}
	m.runs = append(m.runs, *r)
}

// add carries out several updates in one commit, some of which fail.
func (m *model) add() {
	var batch []func(*tx) error
	var made [][]*triggers.Run // nil where the update fails
	plain := m.rand.IntN(3) > 0
	for range 1 + m.rand.IntN(6) {
		kind := 0
		if !plain {
			kind = m.rand.IntN(6)
		}
		runs := []*triggers.Run{newRun("{}")}
		if kind == 1 {
			runs = append(runs, newRun(`"`+strings.Repeat("x", m.rand.IntN(3000))+`"`))
		}
		insert := inserting(nil, runs...)
		if kind == 2 || kind == 3 || kind == 5 {
			runs = nil
		}
		batch, made = append(batch, func(tx *tx) error {
			if kind > 3 {
				if _, err := tx.exec(setMeta, "a", api.NewID()); err != nil {
					return err
				}
			}
			err := insert(tx)
			switch {
			case kind == 3:
				panic("no")
			case err == nil && runs == nil:
				return errors.New("no")
			}
			return err
		}), append(made, runs)
	}
	m.step(true, func() {
		for i, err := range commit(m.db, batch...) {
			if (err == nil) != (made[i] != nil) {
				m.t.Errorf("%d updates, of the %d-th: %v", len(batch), i+1, err)
			}
			for _, r := range made[i] {
				m.added(r)
			}
		}
	})
}

// some is a run of that status, nil if there is none.
func (m *model) some(status triggers.Status) *triggers.Run {
	var of []*triggers.Run
	for i := range m.runs {
		if m.runs[i].Status == status {
			of = append(of, &m.runs[i])
		}
	}
	if len(of) == 0 {
		return nil
	}
	return of[m.rand.IntN(len(of))]
}

// next is what must go first.
func (m *model) next() (first *triggers.Run) {
	for i := range m.runs {
		r := &m.runs[i]
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
	m.step(false, func() {
		var started bool
		if ended := m.some(triggers.StatusRunning); ended != nil && m.rand.IntN(2) == 0 {
			ended.Status, ended.EndTime = triggers.StatusSuccess, 2
			started, err = m.db.Runs().EndAndStart(m.t.Context(), ended, run)
		} else {
			started, err = m.db.Runs().Start(m.t.Context(), run)
		}
		if err != nil || !started {
			m.t.Fatalf("run %d is started: %v, %v", run.Seq, started, err)
		}
		want.Status, want.StartTime = run.Status, run.StartTime
	})
}

func (m *model) end() {
	r := m.some(triggers.StatusRunning)
	if r == nil {
		return
	}
	if m.rand.IntN(3) > 0 {
		m.step(false, func() {
			r.Status, r.EndTime = triggers.StatusFailed, 2
			m.must(m.db.Runs().Mark(m.t.Context(), r))
		})
		return
	}
	again := newRun("{}")
	again.Urgent = math.MaxInt64/2 - r.Seq
	m.step(true, func() {
		r.Status, r.EndTime = triggers.StatusInterrupted, 2
		m.must(m.db.Runs().Interrupt(m.t.Context(), r, again))
		m.added(again)
	})
}

func (m *model) cancel() {
	m.step(true, func() {
		id := "none"
		r := m.some(triggers.StatusQueued)
		if r != nil && m.rand.IntN(2) == 0 {
			id, r.Status, r.EndTime = r.RunID, triggers.StatusCancelled, 2
		}
		cancelled, err := m.db.Runs().Cancel(m.t.Context(), id, "")
		m.must(err)
		if cancelled != (id != "none") {
			m.t.Errorf("cancelled: %v", cancelled)
		}
	})
}

func (m *model) prune() {
	m.step(false, func() {
		keep := m.rand.IntN(10)
		m.must(m.db.Runs().Prune(m.t.Context(), keep, math.MaxInt64))
		var stay []triggers.Run
		for _, r := range slices.Backward(m.runs) {
			if r.EndTime > 0 {
				if keep--; keep < 0 {
					continue
				}
			}
			stay = append(stay, r)
		}
		slices.Reverse(stay)
		m.runs = stay
	})
}

// stored is what the database holds; its entries must be those of the model.
func (m *model) stored() (s modelState) {
	m.t.Helper()
	page, _, err := m.db.Runs().Runs(m.t.Context(), triggers.Filter{Limit: 10_000})
	m.must(err)
	slices.Reverse(page)
	s.runs = page
	s.newest, err = m.db.Entries().Newest(m.t.Context())
	m.must(err)
	entries, err := m.db.Entries().Entries(m.t.Context(), 0, 100_000)
	m.must(err)
	if int64(len(entries)) != s.newest {
		m.t.Fatalf("there are %d entries up to number %d", len(entries), s.newest)
	}
	for i, e := range entries {
		if e.ID != int64(i+1) || string(e.Data) != m.entries[e.ID] {
			m.t.Fatalf("entry %d is %d %s, want %s", i+1, e.ID, e.Data, m.entries[e.ID])
		}
	}
	return s
}

func (m *model) check() {
	m.t.Helper()
	if got := m.stored().String(); got != m.modelState.String() {
		m.t.Fatalf("the database holds\n%s\nwant\n%s", got, m.modelState)
	}
}

// reopen goes on after an orderly end.
func (m *model) reopen() {
	m.must(m.db.Close())
	m.open(m.db.dir)
	m.check()
}

// kill goes on with what a kill leaves.
func (m *model) kill() {
	dir := killedCopy(m.t, m.db)
	m.tear(dir)
	m.open(dir)
	m.check()
}

// tear leaves a piece of a transaction behind the last one.
func (m *model) tear(dir string) {
	f, err := os.OpenFile(filepath.Join(dir, File+"-wal"), os.O_WRONLY|os.O_APPEND, 0)
	m.must(err)
	torn := make([]byte, m.rand.IntN(8192))
	for i := range torn {
		torn[i] = byte(m.rand.Uint32())
	}
	_, err = f.Write(torn)
	m.must(errors.Join(err, f.Close()))
}

// cut goes on with what a power cut leaves: the state after some commit, which
// is the last one that is on disk or a later one.
func (m *model) cut() {
	size := walSize(m.t, m.db)
	dir := cutPower(m.t, m.db, m.synced+m.rand.Int64N(size-m.synced+1))
	m.tear(dir)
	commits := m.commits
	m.open(dir)
	got := m.stored()
	if !slices.ContainsFunc(commits, func(s modelState) bool { return s.String() == got.String() }) {
		m.t.Fatalf("of %d commits after none the database was\n%s\nbut on disk was\n%s", len(commits), got, commits[0])
	}
	m.modelState, m.commits = got, nil
	m.committed()
}

// TestStoreAgainstAModel does what a server does with runs, in any order, with
// kills and power cuts in between.
func TestStoreAgainstAModel(t *testing.T) {
	for range 3 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &model{t: t, rand: rand.New(rand.NewPCG(seed, 0)), entries: map[int64]string{}}
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
				case 16, 17:
					m.prune()
				case 18:
					m.step(true, func() { m.must(m.db.SetMeta(t.Context(), "a", "b")) })
				case 19:
					m.check()
				case 20:
					m.reopen()
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
