package store

import (
	"strings"
	"testing"

	"jetstream/internal/api"
	"jetstream/internal/stream"
	"jetstream/triggers"
)

// BenchmarkJournal measures what an event costs that is as large as most, apart
// from the sync: to put it into the journal, and from there into the tables.
func BenchmarkJournal(b *testing.B) {
	db, err := OpenServer(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	parameters := `{"command":"` + strings.Repeat("x", 800) + `"}`
	const events = 1000
	add := func() {
		for range events / 20 {
			var runs []*triggers.Run
			var entries []*stream.Entry
			for range 20 {
				r := newRun(parameters)
				r.User, r.RequestID = "alice", api.NewID()
				runs = append(runs, r)
				entries = append(entries, &stream.Entry{Type: "trigger.queued", Time: api.Now(), User: "alice", Data: []byte(strings.Repeat("y", 350))})
			}
			if err := db.journal.append(runs, db.lastRun+1, entries, db.lastEntry+1); err != nil {
				b.Fatal(err)
			}
			db.lastRun += 20
			db.lastEntry += 20
		}
	}
	b.Run("import", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			add()
			b.StartTimer()
			if err := db.settle(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := db.SetMeta(b.Context(), "a", "b"); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
	})
}
