//go:build unix

package receiver_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/account"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// have makes files with their names as content.
func (s *site) have(names ...string) {
	s.T.Helper()
	for _, name := range names {
		path := filepath.Join(s.Sandbox, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.T.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			s.T.Fatal(err)
		}
	}
}

// hasOnly checks what is in the sandbox.
func (s *site) hasOnly(want ...string) {
	s.T.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, s.names()); diff != "" {
		s.T.Errorf("the sandbox holds (-want +got):\n%s", diff)
	}
}

// mirror sends the directory /d, as a source, with files whose contents are their names.
func (p *sender) mirror(names ...string) {
	p.t.Helper()
	if p.open.Mirror == nil {
		p.open.Mirror = &wire.Mirror{MaxDelete: 100}
	}
	entries := []wire.Entry{{Name: "/d", Dir: true, Mode: 0o755, ModTime: 1e18, Root: true}}
	for _, n := range names {
		entries = append(entries, wire.Entry{Name: wire.Name(n), Size: int64(len(n)), Mode: 0o600, ModTime: 1e18})
	}
	p.begin(entries...)
	for i, n := range names {
		p.data(int64(i)+1, 0, []byte(n))
	}
	p.send(wire.TypeEnd, struct{}{})
}

func TestHostileMirrors(t *testing.T) {
	for name, m := range map[string]wire.Mirror{
		"a negative limit":      {MaxDelete: -1},
		"a negative age":        {Age: -1},
		"an age of centuries":   {Age: 1 << 62},
		"filters that are none": {Exclude: []string{"["}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, t.TempDir())
			p := newSender(t, s)
			p.open.Mirror, p.open.Ticket = &m, p.ticket
			p.send(wire.TypeOpen, p.open)
			p.wantAnswer("invalid", "malformed")
		})
	}
	t.Run("with rename", func(t *testing.T) {
		s := newSite(t, t.TempDir())
		p := newSender(t, s)
		p.open.Mirror, p.open.Ticket, p.open.Conflict = &wire.Mirror{}, p.ticket, "rename"
		p.send(wire.TypeOpen, p.open)
		p.wantAnswer("invalid", "malformed")
	})
	t.Run("roots outside", func(t *testing.T) {
		for _, root := range []string{"/..", "/../x", "x", "/d/../..", "//", ""} {
			s := newSite(t, t.TempDir())
			s.have("in/a", "other")
			s.Age()
			p := newSender(t, s)
			p.open.DestinationPath, p.open.Mirror = "/in", &wire.Mirror{MaxDelete: 100}
			p.begin(wire.Entry{Name: wire.Name(root), Dir: true, Root: true}, wire.Entry{Name: "/f"})
			p.wantAnswer("error", "the name ")
			s.Stop()
			s.hasOnly("in", "in/a", "other")
		}
	})
	t.Run("the destination as root", func(t *testing.T) {
		s := newSite(t, t.TempDir())
		s.have("in/a/b", "in/c", "other")
		s.Age()
		p := newSender(t, s)
		p.open.DestinationPath, p.open.Mirror = "/in", &wire.Mirror{MaxDelete: 100}
		p.begin(wire.Entry{Name: "/", Dir: true, Root: true, Mode: 0o755}, wire.Entry{Name: "/f", Mode: 0o600})
		p.send(wire.TypeEnd, struct{}{})
		p.wantAnswer("complete", "")
		s.Stop()
		s.hasOnly("in", "in/f", "other")
	})
	t.Run("the sandbox as root", func(t *testing.T) {
		s := newSite(t, t.TempDir())
		s.have("a/b", "c", ".jetstream-0123456789abcdef0123456789abcdef-01234567/0.part")
		s.Age()
		p := newSender(t, s)
		p.open.Mirror = &wire.Mirror{MaxDelete: 100}
		p.begin(wire.Entry{Name: "/", Dir: true, Root: true, Mode: 0o755}, wire.Entry{Name: "/f", Mode: 0o600})
		p.send(wire.TypeEnd, struct{}{})
		p.wantAnswer("complete", "")
		s.Stop()
		s.hasOnly("f", ".jetstream-0123456789abcdef0123456789abcdef-01234567", ".jetstream-0123456789abcdef0123456789abcdef-01234567/0.part")
	})
	t.Run("a file as root", func(t *testing.T) {
		s := newSite(t, t.TempDir())
		s.have("d/stale")
		s.Age()
		p := newSender(t, s)
		p.open.Mirror = &wire.Mirror{MaxDelete: 100}
		p.begin(wire.Entry{Name: "/d", Dir: true, Mode: 0o755}, wire.Entry{Name: "/d/f", Mode: 0o600, Root: true})
		p.send(wire.TypeEnd, struct{}{})
		p.wantAnswer("complete", "")
		s.Stop()
		s.hasOnly("d", "d/f", "d/stale")
	})
	t.Run("another mirror at the next connection", func(t *testing.T) {
		s := newSite(t, t.TempDir())
		p := newSender(t, s)
		p.open.Mirror = &wire.Mirror{MaxDelete: 1}
		p.begin(wire.Entry{Name: "/d/f", Size: 5, Mode: 0o600})
		for _, m := range []*wire.Mirror{nil, {MaxDelete: 2}} {
			p.dial()
			p.open.Mirror = m
			p.send(wire.TypeOpen, p.open)
			p.wantAnswer("invalid", "not those that it began with")
		}
	})
}

// The user may forbid it while the transfer is under way.
func TestMirrorForbiddenMeanwhile(t *testing.T) {
	s := newSite(t, t.TempDir())
	s.have("d/stale")
	s.Age()
	p := newSender(t, s)
	p.open.Mirror = &wire.Mirror{MaxDelete: 100}
	p.begin(wire.Entry{Name: "/d", Dir: true, Mode: 0o755, Root: true}, wire.Entry{Name: "/d/f", Size: 1, Mode: 0o600})
	no := false
	if _, err := s.Accounts.Update(t.Context(), "bob", account.Change{MayDelete: &no}); err != nil {
		t.Fatal(err)
	}
	p.data(1, 0, []byte("f"))
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("error", "user bob lets no mirror remove files")
	s.Stop()
	s.hasOnly("d", "d/f", "d/stale")
}

// What has changed since the walk began stays, with all that is in it. The sender only
// says how long ago that was.
func TestMirrorLeavesWhatIsNewerThanTheWalk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: times of change are asked for on Linux only")
	}
	s := newSite(t, t.TempDir())
	s.have("d/stale", "d/old/x", "d/touched", "d/moved/x")
	s.Age()
	began := time.Now()
	s.Age()
	s.have("d/new", "d/newer/x")
	for _, err := range []error{
		os.Chmod(filepath.Join(s.Sandbox, "d/touched"), 0o640), // its time of modification stays
		os.Rename(filepath.Join(s.Sandbox, "d/moved"), filepath.Join(s.Sandbox, "d/into")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p := newSender(t, s)
	p.dial()
	p.open.Mirror = &wire.Mirror{MaxDelete: 100, Age: time.Since(began).Microseconds()}
	p.mirror("/d/f")
	p.wantAnswer("complete", "")
	s.Stop()
	s.hasOnly("d", "d/f", "d/new", "d/newer", "d/newer/x", "d/touched", "d/into", "d/into/x")
}

// What the filters of the manifest leave out stays, with all that is in it, and what it is
// in.
func TestMirrorLeavesWhatFiltersLeaveOut(t *testing.T) {
	s := newSite(t, t.TempDir())
	s.have("d/stale", "d/a.tmp", "d/keep.tmp", "d/cache/x", "d/old/cache/x", "d/old/y", "d/sub/top")
	s.Age()
	p := newSender(t, s)
	p.open.Mirror = &wire.Mirror{MaxDelete: 100, Include: []string{"keep.tmp"}, Exclude: []string{"*.tmp", "cache/", "/d/sub/top"}}
	p.mirror("/d/f")
	p.wantAnswer("complete", "")
	s.Stop()
	s.hasOnly("d", "d/f", "d/a.tmp", "d/cache", "d/cache/x", "d/old", "d/old/cache", "d/old/cache/x", "d/sub", "d/sub/top")
}

// Files that another transfer is about to place are not removed, though what is there
// yet is old.
func TestMirrorLeavesFilesOfOtherTransfers(t *testing.T) {
	s := newSite(t, t.TempDir())
	s.have("d/stale", "d/theirs")
	s.Age()
	other := newSender(t, s)
	other.begin(wire.Entry{Name: "/d/theirs", Size: 5, Mode: 0o600}, wire.Entry{Name: "/d/more", Size: 5, Mode: 0o600})
	other.data(0, 0, []byte("their"))
	recorded := func() bool {
		n, _, _, err := s.DB.Received().RecvCount(t.Context(), other.id.PublicKey(), other.xfer)
		return err != nil || n > 0
	}
	for !recorded() { // a message of its progress comes now and then
		if _, _, err := other.conn.Read(); err != nil {
			t.Fatal(err)
		}
	}
	p := newSender(t, s)
	p.mirror("/d/f")
	p.wantAnswer("complete", "")
	if got, _ := os.ReadFile(filepath.Join(s.Sandbox, "d/theirs")); string(got) != "d/theirs" {
		t.Errorf("the file of another transfer holds %q", got)
	}
	if _, err := os.Lstat(filepath.Join(s.Sandbox, "d/stale")); err == nil {
		t.Error("what is stale was not removed")
	}
	other.data(1, 0, []byte("more "))
	other.send(wire.TypeEnd, struct{}{})
	other.wantAnswer("complete", "")
	s.Stop()
	s.hasOnly("d", "d/f", "d/theirs", "d/more")
}

// planned is a store that calls then when the removals are planned.
type planned struct {
	transfer.RecvStore
	then func()
	once sync.Once
}

func (s *planned) Update(ctx context.Context, fn func(transfer.RecvTx) error) error {
	tx := &plannedTx{}
	err := s.RecvStore.Update(ctx, func(inner transfer.RecvTx) error { tx.RecvTx = inner; return fn(tx) })
	if tx.planned && err == nil {
		s.once.Do(s.then)
	}
	return err
}

type plannedTx struct {
	transfer.RecvTx
	planned bool
}

func (t *plannedTx) SaveRecvTransfer(r *transfer.RecvTransfer) error {
	t.planned = t.planned || r.Mirror != nil && r.Mirror.Planned
	return t.RecvTx.SaveRecvTransfer(r)
}

// What becomes another file between the plan and the removal stays; a directory that is
// exchanged for a link does not lead anywhere.
func TestMirrorLooksAgainBeforeItRemoves(t *testing.T) {
	s := newSite(t, t.TempDir())
	s.have("d/stale", "d/changed", "d/old/x", "d/filled/x", "d/exchanged/x", "d/replaced", "away/x")
	s.Stop()
	path := func(name string) string { return filepath.Join(s.Sandbox, name) }
	s.restart(func(st transfer.RecvStore) transfer.RecvStore {
		return &planned{RecvStore: st, then: func() {
			s.have("d/changed", "d/filled/y", "d/tmp")
			for _, err := range []error{
				os.Rename(path("d/tmp"), path("d/replaced")),
				os.RemoveAll(path("d/exchanged")), os.Symlink("../away", path("d/exchanged")),
				os.Remove(path("d/old/x")),
			} {
				if err != nil {
					t.Error(err)
				}
			}
		}}
	})
	s.Age()
	p := newSender(t, s)
	p.mirror("/d/f")
	p.wantAnswer("complete", "")
	row := s.Received(p.xfer)
	s.Stop()
	s.hasOnly("d", "d/f", "d/changed", "d/filled", "d/filled/y", "d/exchanged", "d/replaced", "away", "away/x")
	if row.RemovedFiles != 3 { // stale, filled/x, and old/x, which somebody else removed
		t.Errorf("%d files were removed", row.RemovedFiles)
	}
}

// What cannot be removed is said, and the rest goes.
func TestMirrorSaysWhatItCouldNotRemove(t *testing.T) {
	s := newSite(t, t.TempDir())
	s.have("d/fixed/x", "d/stale")
	fixed, message := filepath.Join(s.Sandbox, "d/fixed"), `could not remove 1 of 3 entries; the first: "/d/fixed/x": permission denied`
	want := []string{"d", "d/f", "d/fixed", "d/fixed/x"}
	if os.Geteuid() == 0 { // who may remove everything but what is mounted
		if err := os.Remove(filepath.Join(fixed, "x")); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "none", fixed).CombinedOutput(); err != nil {
			t.Skipf("skipped: nothing can be mounted: %v\n%s", err, out)
		}
		t.Cleanup(func() { _ = exec.Command("umount", fixed).Run() })
		message, want = `could not remove 1 of 2 entries; the first: "/d/fixed": device or resource busy`, want[:3]
	} else {
		if err := os.Chmod(fixed, 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(fixed, 0o700) })
	}
	s.Age()
	p := newSender(t, s)
	p.mirror("/d/f")
	p.wantAnswer("error", message)
	row := s.Received(p.xfer)
	s.Stop()
	s.hasOnly(want...)
	if row.RemovedFiles != 1 {
		t.Errorf("%d files were removed", row.RemovedFiles)
	}
}

// Names that differ in case are other files, where they are.
func TestMirrorRemovesNamesThatDifferInCase(t *testing.T) {
	s := newSite(t, t.TempDir())
	s.have("d/FILE", "d/Dir/x")
	s.Age()
	p := newSender(t, s)
	p.mirror("/d/file", "/d/dir/x")
	p.wantAnswer("complete", "")
	s.Stop()
	s.hasOnly("d", "d/file", "d/dir", "d/dir/x")
}
