//go:build unix

package receiver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
	"jetstream/internal/transfertest"
)

// removedAt are the names at whose removal a process is killed.
var removedAt = []string{"a-link", "hard1", "stale0000", "stale0599", "old", "x", "zhard2"}

// SaveRemovals is a step of its own.
func (t *dyingTx) SaveRemovals(key, id string, list []transfer.Removal) error {
	t.saves = fmt.Sprintf("removals from %d, planned %v", list[0].Index, list[0].State == transfer.RemovalPlanned)
	return t.RecvTx.SaveRemovals(key, id, list)
}

// The receiver is killed at each step of a mirror, and another process goes on with what
// was planned. In the end all of it is gone and nothing else, and is on record once.
func TestMirrorSurvivesKillAtEachStep(t *testing.T) {
	sandbox := t.TempDir()
	stale := []string{"d/hard1", "d/old/deep/y", "d/old/x"}
	for i := range 600 {
		stale = append(stale, fmt.Sprintf("d/stale%04d", i))
	}
	s := newSite(t, sandbox)
	s.Stop()
	s.have(stale...)
	s.have("e/keep", "d/kept")
	stale = append(stale, "d/a-link", "d/zhard2")
	for _, err := range []error{os.Symlink("../e", filepath.Join(sandbox, "d/a-link")), os.Link(filepath.Join(sandbox, "d/hard1"), filepath.Join(sandbox, "d/zhard2"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.restart(func(st transfer.RecvStore) transfer.RecvStore { return &halting{RecvStore: st} })
	s.Age()
	p := newSender(t, s)
	p.open.Mirror = &wire.Mirror{MaxDelete: int64(len(stale)) + 2}
	p.begin(wire.Entry{Name: "/d", Dir: true, Mode: 0o755, ModTime: 1e18, Root: true}, wire.Entry{Name: "/d/kept", Size: 4, Mode: 0o640, ModTime: 1e18})
	p.data(1, 0, []byte("sent"))
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("unavailable", "could not go on")
	s.Stop()
	want := []string{
		"plan removals", "within removals from 0, planned true", "after removals from 0, planned true",
		"within removals from 512, planned true", "after removals from 512, planned true",
		"within removals from 0, planned false", "after removals from 0, planned false",
		"within removals from 512, planned false", "after removals from 512, planned false",
		"sync d", "within complete", "after complete", "sweep staging", "within swept", "after swept",
		"within names from /d", "after names from /d", "within placed from 0", "after placed from 0", "sync .",
	}
	for _, name := range removedAt {
		dir := "d/"
		if name == "x" {
			dir = "d/old/"
		}
		want = append(want, "remove "+dir+name, "gone "+dir+name)
	}
	got := transfertest.KillAtEachStep(t, transfertest.Child{Env: []string{childState + "=" + s.State}})
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("processes were killed at other steps (-want +got):\n%s", diff)
	}
	s.Start()
	row := s.Received(p.xfer)
	if row.Status != transfer.StatusComplete || row.RemovedFiles != int64(len(stale)) {
		t.Errorf("the transfer is %s, %d removed, want %d: %s", row.Status, row.RemovedFiles, len(stale), row.ErrorMessage)
	}
	if n := s.completed(); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	var removed []string
	for f, err := range s.DB.Received().List(t.Context(), transfer.RecvSubject(p.id.PublicKey(), p.xfer)) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Removed {
			removed = append(removed, strings.TrimPrefix(f.Path, "/"))
		}
	}
	slices.Sort(stale)
	slices.Sort(removed)
	if diff := cmp.Diff(stale, removed); diff != "" {
		t.Errorf("listed as removed (-want +got):\n%s", diff)
	}
	s.Stop()
	s.hasOnly("d", "d/kept", "e", "e/keep")
}
