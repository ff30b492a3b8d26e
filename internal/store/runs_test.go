package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// queued inserts a run of that event and process.
func queued(t *testing.T, s *Runs, event, process string, change func(*triggers.Run)) *triggers.Run {
	t.Helper()
	r := &triggers.Run{RunID: api.NewID(), Event: event, EventID: api.NewID(), Attempt: 1, Status: triggers.StatusQueued,
		Parameters: []byte(`{"port":"1"}`), EventTime: 1000, QueueTime: 1000, Depth: 1, Process: process}
	if change != nil {
		change(r)
	}
	if err := s.Update(t.Context(), func(tx triggers.Tx) error { return tx.InsertRun(r) }); err != nil {
		t.Fatal(err)
	}
	return r
}

func end(t *testing.T, s *Runs, r *triggers.Run, status triggers.Status) {
	t.Helper()
	r.Status, r.StartTime, r.EndTime = status, 2000, 3000
	if err := s.Mark(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestRunComesBackAsSaved(t *testing.T) {
	s := openTest(t).Runs()
	r := queued(t, s, "launch", "p", func(r *triggers.Run) {
		r.RequestID, r.User, r.TransferID, r.Subject, r.Key = "req", "ann", "t1", "subject", "key"
	})
	exit := 3
	r.ExitCode, r.ErrorMessage = &exit, "why"
	r.Stdout = triggers.Output{Text: "a\x00b\uFFFD", DroppedBytes: 9}
	r.Stderr = triggers.Output{Text: "err", DroppedBytes: 1}
	end(t, s, r, triggers.StatusFailed)
	got, err := s.Run(t.Context(), r.RunID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(*r, got, cmpopts.IgnoreUnexported(triggers.Run{})); d != "" {
		t.Errorf("(-saved +read):\n%s", d)
	}
	if _, err := s.Run(t.Context(), "none"); !errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		t.Errorf("a run that is not there: %v", err)
	}
}

func TestNextGoesBySequenceNeverByClock(t *testing.T) {
	s := openTest(t).Runs()
	if r, err := s.Next(t.Context()); r != nil || err != nil {
		t.Fatalf("an empty queue has %v, %v", r, err)
	}
	var want []string
	for i := range 5 { // the clock goes backwards, and so do the ids
		r := queued(t, s, "launch", "p", func(r *triggers.Run) {
			r.QueueTime, r.EventTime = api.Time(1000-i), api.Time(1000-i)
			r.RunID = fmt.Sprintf("%032d", 9-i)
		})
		want = append(want, r.RunID)
	}
	running, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	running.Status = triggers.StatusRunning
	if err := s.Mark(t.Context(), running); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Running(t.Context()); err != nil || len(all) != 1 || all[0].RunID != running.RunID {
		t.Fatalf("running: %v, %v", all, err)
	}
	// Interrupted, it goes before those that waited already.
	again := *running
	again.RunID, again.Attempt, again.Status, again.Urgent = api.NewID(), 2, triggers.StatusQueued, 7
	running.Status, running.EndTime = triggers.StatusInterrupted, 1
	if err := s.Interrupt(t.Context(), running, &again); err != nil {
		t.Fatal(err)
	}
	want[0] = again.RunID
	if n, err := s.Waiting(t.Context()); n != len(want) || err != nil {
		t.Errorf("%d wait (%v), want %d", n, err, len(want))
	}
	var got []string
	for range want {
		r, err := s.Next(t.Context())
		if err != nil || r == nil {
			t.Fatalf("next: %v, %v", r, err)
		}
		got = append(got, r.RunID)
		end(t, s, r, triggers.StatusSuccess)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
}

func TestDropLaunchesOfFormerProcesses(t *testing.T) {
	s := openTest(t).Runs()
	former := queued(t, s, "launch", "former", nil)
	mine := queued(t, s, "launch", "mine", nil)
	other := queued(t, s, "recv.transferComplete", "former", nil)
	if n, _, err := s.DropLaunches(t.Context(), "mine", "dropped"); n != 1 || err != nil {
		t.Fatalf("dropped %d, %v", n, err)
	}
	for r, want := range map[*triggers.Run]triggers.Status{former: triggers.StatusCancelled, mine: triggers.StatusQueued, other: triggers.StatusQueued} {
		got, err := s.Run(t.Context(), r.RunID)
		if err != nil || got.Status != want {
			t.Errorf("%s of %s is %s (%v), want %s", r.Event, r.Process, got.Status, err, want)
		}
		if want == triggers.StatusCancelled && (got.ErrorMessage != "dropped" || got.EndTime == 0) {
			t.Errorf("dropped as %+v", got)
		}
	}
}

func TestPruneHoldsBothBounds(t *testing.T) {
	s := openTest(t).Runs()
	var ended []*triggers.Run
	for range 6 {
		r := queued(t, s, "launch", "p", nil)
		r.Stdout.Text = strings.Repeat("x", 10_000)
		end(t, s, r, triggers.StatusSuccess)
		ended = append(ended, r)
	}
	waiting := queued(t, s, "launch", "p", nil)
	kept := func(keep int, maxBytes int64) (ids []string) {
		t.Helper()
		if err := s.Prune(t.Context(), keep, maxBytes); err != nil {
			t.Fatal(err)
		}
		page, _, err := s.Runs(t.Context(), triggers.Filter{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			ids = append(ids, r.RunID)
		}
		return ids
	}
	if got := kept(100, 1<<30); len(got) != 7 {
		t.Errorf("%d are left, want all", len(got))
	}
	want := []string{waiting.RunID, ended[5].RunID, ended[4].RunID, ended[3].RunID, ended[2].RunID}
	if d := cmp.Diff(want, kept(4, 1<<30)); d != "" {
		t.Errorf("by number (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want[:3], kept(4, 2*10_600)); d != "" {
		t.Errorf("by bytes (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want[:1], kept(0, 1<<30)); d != "" {
		t.Errorf("what waits is never removed (-want +got):\n%s", d)
	}
}

func TestRunsFilteredAndPaged(t *testing.T) {
	s := openTest(t).Runs()
	for i := range 10 {
		r := queued(t, s, []string{"launch", "on.ls"}[i%2], "p", func(r *triggers.Run) {
			r.QueueTime, r.User = api.Time(1000+i), []string{"ann", "bob", "cy"}[i%3]
			r.TransferID = []string{"", "t1", "t2"}[i%3]
		})
		if i < 4 {
			end(t, s, r, triggers.StatusFailed)
		}
	}
	for _, c := range []struct {
		filter triggers.Filter
		want   string
		more   bool
	}{
		{triggers.Filter{Limit: 10}, "9 8 7 6 5 4 3 2 1 0", false},
		{triggers.Filter{Limit: 3}, "9 8 7", true},
		{triggers.Filter{Limit: 3, Before: 3}, "1 0", false},
		{triggers.Filter{Limit: 10, Event: "launch"}, "8 6 4 2 0", false},
		{triggers.Filter{Limit: 10, Status: triggers.StatusFailed}, "3 2 1 0", false},
		{triggers.Filter{Limit: 10, User: "cy"}, "8 5 2", false},
		{triggers.Filter{Limit: 10, TransferID: "t1"}, "7 4 1", false},
		{triggers.Filter{Limit: 10, Since: 1007}, "9 8 7", false},
		{triggers.Filter{Limit: 1, Event: "on.ls", Status: triggers.StatusQueued, Since: 1006, User: "ann"}, "9", false},
		{triggers.Filter{Limit: 10, Event: "none"}, "", false},
	} {
		page, more, err := s.Runs(t.Context(), c.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range page {
			got = append(got, fmt.Sprint(r.QueueTime-1000))
		}
		if strings.Join(got, " ") != c.want || more != c.more {
			t.Errorf("%+v: %v, more %t; want %s, %t", c.filter, got, more, c.want, c.more)
		}
	}
}

func TestAPageOfLargeRunsEndsEarly(t *testing.T) {
	s := openTest(t).Runs()
	for range 5 {
		queued(t, s, "on.ls", "p", func(r *triggers.Run) { r.Parameters = []byte(`"` + strings.Repeat("x", 3<<20) + `"`) })
	}
	var seen int
	f := triggers.Filter{Limit: 1000}
	for more := true; more; {
		page, m, err := s.Runs(t.Context(), f)
		if err != nil || len(page) == 0 || len(page) > 3 {
			t.Fatalf("a page of %d runs of 3 MiB (%v)", len(page), err)
		}
		seen, more, f.Before = seen+len(page), m, page[len(page)-1].Seq
	}
	if seen != 5 {
		t.Errorf("the pages held %d runs, want 5", seen)
	}
}

// Each index of the runs costs every event that is queued; each is one that the
// queue, the records or pruning would be slow without.
func TestQueriesOfRunsGoByTheirIndexes(t *testing.T) {
	db := openTest(t)
	indexes := map[string]bool{}
	for _, c := range []struct {
		query string
		index string // covering: only this is read
		args  []any
	}{
		{firstQueued, "USING INDEX runs_open", []any{10}},
		{nextBehind, "USING INDEX runs_open", []any{0, 0, "[]"}},
		{oldestQueued, "USING INDEX runs_open", nil},
		{waitingBytes, "USING INDEX runs_open", []any{"on."}},
		{selectRun + "WHERE run_id = ?", "USING INDEX sqlite_autoindex_runs_1", []any{"id"}},
		{selectRun + "WHERE seq < ? AND " + ofTransfer + " ORDER BY seq DESC LIMIT 10", "USING INDEX runs_transfer", []any{9, "id"}},
		{lastAttempt, "USING INDEX runs_attempts", []any{"id"}},
		{givenUp, "USING INDEX runs_lost", nil},
		{givenUp, "USING COVERING INDEX runs_attempts", nil},
		{endedRuns, "USING COVERING INDEX runs_ended", nil},
		{newestTooMany, "USING COVERING INDEX runs_ended", []any{1}},
		{outcomes, "USING COVERING INDEX runs_ended", nil},
	} {
		plan := queryPlan(t, db, c.query, c.args...)
		if !strings.Contains(plan, c.index) || strings.Contains(plan, "TEMP B-TREE FOR ORDER BY") {
			t.Errorf("%s\ngoes by %s\nwant %s", c.query, plan, c.index)
		}
		indexes[c.index[strings.LastIndex(c.index, " ")+1:]] = true
	}
	rows, err := db.readers.query(t.Context(), "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'runs'")
	if err != nil {
		t.Fatal(err)
	}
	all, err := scanAll(rows, scanID)
	if err != nil || len(all) != len(indexes) {
		t.Errorf("runs have the indexes %q, of which %v are used (%v)", all, indexes, err)
	}
}
