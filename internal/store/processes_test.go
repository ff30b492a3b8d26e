package store

import (
	"os"
	"path/filepath"
	"testing"

	"jetstream/triggers"
)

// TestProcessesOutliveTheServer saves processes of runs beside each other and
// reads them as the next server does.
func TestProcessesOutliveTheServer(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s := db.Runs()
	start := func(pid int) *triggers.Run {
		t.Helper()
		r := queued(t, s, "launch", "p", nil)
		r.Status, r.StartTime = triggers.StatusRunning, 2000
		if started, err := s.Start(t.Context(), r); err != nil || !started {
			t.Fatalf("started: %t (%v)", started, err)
		}
		if pid == 0 {
			return r
		}
		r.PID, r.PIDStart = pid, 1<<63+uint64(pid)
		if err := s.MarkProcess(r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	ended, stays, unknown := start(11), start(12), start(0)
	end(t, s, ended, triggers.StatusSuccess)
	again := start(13) // in the place of the one that has ended
	last := start(14)
	path := filepath.Join(dir, "processes")
	if info, err := os.Stat(path); err != nil || info.Size() != 3*slotSize || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of three processes at a time is %v (%v)", info, err)
	}
	check := func(want map[string]int) {
		t.Helper()
		running, err := db.Runs().Running(t.Context())
		if err != nil || len(running) != len(want) {
			t.Fatalf("%d runs are running, want %d (%v)", len(running), len(want), err)
		}
		for _, r := range running {
			pid, ok := want[r.RunID]
			if !ok || r.PID != pid || pid != 0 && r.PIDStart != 1<<63+uint64(pid) || pid == 0 && r.PIDStart != 0 {
				t.Errorf("run %s has process %d, %d; want %d", r.RunID, r.PID, r.PIDStart, pid)
			}
		}
	}
	want := map[string]int{stays.RunID: 12, unknown.RunID: 0, again.RunID: 13, last.RunID: 14}
	check(want)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	check(want)

	// What was not written to its end is not believed.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt([]byte{99}, slotSize+slotID); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(2*slotSize + 7); err != nil {
		t.Fatal(err)
	}
	check(map[string]int{stays.RunID: 0, unknown.RunID: 0, again.RunID: 13, last.RunID: 0})
}
