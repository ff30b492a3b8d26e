package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// openSmall opens a database on a disk of 16 MiB.
func openSmall(t *testing.T) *DB {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	return openDir(t, dir)
}

// fillDisk leaves no room on the database's disk until free is called.
func fillDisk(t *testing.T, db *DB) (free func()) {
	t.Helper()
	path := filepath.Join(db.dir, "fill")
	if err := os.WriteFile(path, make([]byte, 17<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk could not be filled: %v", err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAFullDiskFailsTheChange, says why, and what is saved once there is room is
// saved.
func TestAFullDiskFailsTheChange(t *testing.T) {
	db := openSmall(t)
	free := fillDisk(t, db)
	long := strings.Repeat("x", 1<<20)
	e, ok := errors.AsType[*api.Error](db.SetMeta(t.Context(), "a", long))
	if !ok || e.Code != api.CodeUnavailable || !strings.Contains(e.Message, "disk is full") || e.Err == nil {
		t.Errorf("got %v, want unavailable for a full disk, with its cause", e)
	}
	free()
	if err := db.SetMeta(t.Context(), "a", long); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if v, err := db.Meta(t.Context(), "a"); v != long || err != nil {
		t.Errorf("%d bytes came back, %v", len(v), err)
	}
}

// TestReadsAnswerOnAFullDisk, those of connections that are new as well.
func TestReadsAnswerOnAFullDisk(t *testing.T) {
	db := openSmall(t)
	want := addRuns(t, db, 5)
	fillDisk(t, db)
	for err := error(nil); err == nil; { // until not even the log has a place left
		err = db.update(t.Context(), inserting(nil, newRun(`"`+strings.Repeat("x", 10_000)+`"`)))
		if err == nil {
			want = append(want, nil)
		}
	}
	held, err := db.readers.pool.Conn(t.Context()) // so that the next has another connection
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	s := db.Runs()
	page, _, err := s.Runs(t.Context(), triggers.Filter{Event: "on.ls", Limit: 1000})
	if err != nil || len(page) != len(want) {
		t.Errorf("%d runs of %d are listed (%v)", len(page), len(want), err)
	}
	if r, err := s.Next(t.Context()); err != nil || r == nil || r.RunID != want[0].RunID {
		t.Errorf("next is %v (%v)", r, err)
	}
	if n, err := s.Waiting(t.Context()); err != nil || n != len(want) {
		t.Errorf("%d runs of %d wait (%v)", n, len(want), err)
	}
	if entries, err := db.Entries().Entries(t.Context(), 0, 100); err != nil || len(entries) != 5 {
		t.Errorf("%d entries of 5 are listed (%v)", len(entries), err)
	}
}

// TestABatchOnAFullDisk: who is told that a run is saved finds it, also where
// what another wants is more than the disk holds; who is told that it is not
// does not find it.
func TestABatchOnAFullDisk(t *testing.T) {
	db := openSmall(t)
	if err := os.WriteFile(filepath.Join(db.dir, "fill"), make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var want []string
	for round := range 20 {
		var batch []func(*tx) error
		var runs []*triggers.Run
		for i := range 8 {
			parameters := "{}"
			if i == round%8 {
				parameters = `"` + strings.Repeat("x", 3<<20) + `"`
			}
			runs = append(runs, newRun(parameters))
			batch = append(batch, inserting(nil, runs[i]))
		}
		for i, err := range commit(db, batch...) {
			if err == nil {
				want = append(want, runs[i].RunID)
			}
		}
	}
	if len(want) == 160 {
		t.Fatal("the disk was never full")
	}
	if got := queue(t, db); !slices.Equal(got, want) {
		t.Errorf("%d runs wait, %d were said to be saved", len(got), len(want))
	}
}

// TestAFullDiskIsNoticed also where each update of the commit that failed had
// failed by itself, and until there is room again.
func TestAFullDiskIsNoticed(t *testing.T) {
	db := openSmall(t)
	free := fillDisk(t, db)
	no := errors.New("no")
	failing := func(tx *tx) error {
		_, err := tx.exec(setMeta, "a", strings.Repeat("x", 1<<20))
		return errors.Join(err, no)
	}
	if _, err := db.Writable(t.Context()); err != nil {
		t.Errorf("before any change: %v", err)
	}
	for _, err := range commit(db, failing, failing) {
		if err == nil {
			t.Error("an update on a full disk was saved")
		}
	}
	if recovered, err := db.Writable(t.Context()); err == nil || recovered {
		t.Error("nobody knows that the disk is full")
	}
	free()
	db.disk.probed = db.disk.probed.Add(-2 * probeEvery)
	if recovered, err := db.Writable(t.Context()); err != nil || !recovered {
		t.Errorf("with room again: recovered %v, %v", recovered, err)
	}
	if recovered, err := db.Writable(t.Context()); err != nil || recovered {
		t.Errorf("then: recovered %v, %v", recovered, err)
	}
}

// TestAProbeLeavesNothing, also where a server was killed in the midst of one.
func TestAProbeLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	d := disk{dir: dir}
	if err := os.WriteFile(filepath.Join(dir, probeFile), make([]byte, 2*probeSize), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.probe(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left over: %v (%v)", left, err)
	}
}
