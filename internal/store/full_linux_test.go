package store

import (
	"context"
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

// mountSmall puts a disk of 16 MiB in dir's place.
func mountSmall(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
}

// A full disk is told as such, and what is saved once there is room is saved.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	mountSmall(t, dir)
	db, err := Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	fill := filepath.Join(dir, "fill")
	if err := os.WriteFile(fill, make([]byte, 17<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk could not be filled: %v", err)
	}
	long := strings.Repeat("x", 1<<20)
	e, ok := errors.AsType[*api.Error](db.SetMeta(t.Context(), "a", long))
	if !ok || e.Code != api.CodeUnavailable || !strings.Contains(e.Message, "disk is full") || e.Err == nil {
		t.Errorf("got %v, want unavailable for a full disk, with its cause", e)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	if err := db.SetMeta(t.Context(), "a", long); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if v, err := db.Meta(t.Context(), "a"); v != long || err != nil {
		t.Errorf("%d bytes came back, %v", len(v), err)
	}
}

// TestBatchOnAFullDisk: who is told that a run is saved finds it, also where
// what another wants is more than the disk holds; who is told that it is not
// does not find it.
func TestBatchOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	mountSmall(t, dir)
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "fill"), make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var want []string
	for round := range 20 {
		var batch []*request
		var runs []*triggers.Run
		for i := range 8 {
			parameters := "{}"
			if i == round%8 {
				parameters = `"` + strings.Repeat("x", 3<<20) + `"`
			}
			runs = append(runs, newRun(parameters))
			batch = append(batch, inserting(nil, runs[i]))
		}
		for i, err := range outcomes(db, batch...) {
			if err == nil {
				want = append(want, runs[i].RunID)
			}
		}
	}
	if len(want) == 160 {
		t.Fatal("the disk was never full")
	}
	if got := queue(t, db); !slices.Equal(got, want) {
		t.Errorf("%d runs wait, %d were told to be saved", len(got), len(want))
	}
}

// TestFullDiskIsNoticed where all updates of a commit that fails had failed by
// themselves: the journal takes nothing until the tables do again.
func TestFullDiskIsNoticed(t *testing.T) {
	dir := t.TempDir()
	mountSmall(t, dir)
	db := openServer(t, dir)
	for range 10 {
		r := newRun(`"` + strings.Repeat("x", 50_000) + `"`)
		if err := db.Runs().Update(t.Context(), func(tx triggers.Tx) error { return tx.InsertRun(r) }); err != nil {
			t.Fatal(err)
		}
	}
	fill := filepath.Join(dir, "fill")
	if err := os.WriteFile(fill, make([]byte, 17<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk could not be filled: %v", err)
	}
	no := errors.New("no")
	failing := func() *request {
		return &request{done: make(chan error, 1), fn: func(tx *tx) error { return errors.Join(tx.begin(), no) }}
	}
	for _, err := range outcomes(db, failing(), failing()) {
		if !errors.Is(err, no) {
			t.Errorf("an update that failed: %v", err)
		}
	}
	if !db.journal.behind() {
		t.Fatal("the journal was taken up; this test shows nothing")
	}
	if db.writable.ok() {
		t.Error("nobody knows that the disk is full")
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
}

// TestProbeLeavesNothing, also where a server was killed in the midst of one.
func TestProbeLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	w := writable{dir: dir}
	if err := os.WriteFile(filepath.Join(dir, probeFile), make([]byte, 2*probeRoom), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.probe(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left over: %v (%v)", left, err)
	}
}
