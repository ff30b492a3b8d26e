package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// lines formats a file list: source, name and size, or "dir" for a directory.
func lines(files []transfer.ManifestFile) (out []string) {
	for i, f := range files {
		what := fmt.Sprint(f.Size)
		if f.Dir {
			what = "dir"
		}
		if f.Index != int64(i) {
			what += fmt.Sprintf(" with index %d at %d", f.Index, i)
		}
		out = append(out, f.Source+" "+f.Name+" "+what)
	}
	return out
}

func TestManifestListsATreeInOrder(t *testing.T) {
	b := newBench(t)
	b.put("src/b.txt", "src/a/z", "src/a/y", "src/a-b", "src/empty/", "src/deep/empty/", "src/\xff\xfe", "one")
	when := time.Unix(1700000000, 123456789)
	b.must(os.Chmod(filepath.Join(b.box, "one"), 0o750))
	b.must(os.Chtimes(filepath.Join(b.box, "one"), when, when))
	m := b.complete(map[string]string{"/src": "dst/", "//one/.": "/x/renamed"})
	want := []string{ // within each directory in the order of the names' bytes
		"/src /dst dir", "/src/a /dst/a dir", "/src/a/y /dst/a/y 18", "/src/a/z /dst/a/z 18", "/src/a-b /dst/a-b 18",
		"/src/b.txt /dst/b.txt 20", "/src/deep /dst/deep dir", "/src/deep/empty /dst/deep/empty dir", "/src/empty /dst/empty dir",
		"/src/\xff\xfe /dst/\xff\xfe 17", "/one /x/renamed 14",
	}
	files := b.files(m.ManifestID)
	if diff := cmp.Diff(want, lines(files)); diff != "" {
		t.Errorf("file list (-want +got):\n%s", diff)
	}
	if *m.TotalFiles != 6 || *m.TotalSize != 18+18+18+20+17+14 || m.EndTime == 0 || m.Owner != "alice" {
		t.Errorf("totals %d files, %d bytes; %+v", *m.TotalFiles, *m.TotalSize, m)
	}
	if last := files[len(files)-1]; last.Mode != 0o750 || last.ModTime != when.UnixNano() {
		t.Errorf("mode %o and time %d were not kept", last.Mode, last.ModTime)
	}
	again := b.complete(map[string]string{"//one/.": "/x/renamed", "/src": "dst/"})
	if diff := cmp.Diff(files, b.files(again.ManifestID)); diff != "" {
		t.Errorf("the same sources gave another list:\n%s", diff)
	}
}

func TestSourceMayBePlacedAtTheRoot(t *testing.T) {
	b := newBench(t)
	b.put("src/a", "none/")
	if got := lines(b.files(b.complete(map[string]string{"/src": "/"}).ManifestID)); !slices.Equal(got, []string{"/src / dir", "/src/a /a 16"}) {
		t.Errorf("list %q", got)
	}
	if m := b.complete(map[string]string{"/none": "/"}); *m.TotalFiles != 0 {
		t.Errorf("an empty directory has %d files", *m.TotalFiles)
	}
	if got := lines(b.files(b.complete(map[string]string{"/none": "/n"}).ManifestID)); !slices.Equal(got, []string{"/none /n dir"}) {
		t.Errorf("list %q", got)
	}
	b.fails(map[string]string{"/src/a": "/"}, "/src/a", "name of its own")
}

func TestLinksAreFollowedInside(t *testing.T) {
	b := newBench(t)
	b.put("data/real", "data/sub/f", "src/plain")
	for link, target := range map[string]string{
		"src/rel": "../data/real", "src/abs": filepath.Join(b.box, "data", "real"), "src/dir": "../data/sub",
		"src/twice": "rel", "top": "data",
	} {
		b.must(os.Symlink(target, filepath.Join(b.box, link)))
	}
	want := []string{
		"/src /s dir", "/src/abs /s/abs 20", "/src/dir /s/dir dir", "/src/dir/f /s/dir/f 21", "/src/plain /s/plain 20",
		"/src/rel /s/rel 20", "/src/twice /s/twice 20",
		"/top /t dir", "/top/real /t/real 20", "/top/sub /t/sub dir", "/top/sub/f /t/sub/f 21",
	}
	m := b.complete(map[string]string{"/src": "/s", "/top": "/t"})
	if diff := cmp.Diff(want, lines(b.files(m.ManifestID))); diff != "" {
		t.Errorf("file list (-want +got):\n%s", diff)
	}
}

func TestSourcesThatCannotBeSent(t *testing.T) {
	b := newBench(t)
	b.put("tree/ok")
	b.must(os.Symlink("/etc", filepath.Join(b.box, "out")))
	b.fails(map[string]string{"/missing": "/m"}, "/missing", "does not exist")
	b.fails(map[string]string{"/tree/ok/below": "/m"}, "/tree/ok")
	b.fails(map[string]string{"/tree": "/t", "/tree/gone": "/m"}, "/tree/gone")
	b.fails(map[string]string{"/../secret": "/m"}, "/../secret", "outside the sandbox")
	b.fails(map[string]string{"/tree/../../secret": "/m"}, "outside the sandbox")
	b.fails(map[string]string{"/out/passwd": "/m"}, "/out", "outside the sandbox")
	b.fails(map[string]string{"/a\x00b": "/m"}, "NUL")
}

// A source is found and judged alike, be it the first one in its directory or not.
func TestSourcesOfOneDirectory(t *testing.T) {
	b := newBench(t)
	b.put("d/1", "d/2", "d/sub/3", "e/4")
	for link, target := range map[string]string{"to-d": "d", "d/to-2": "2", "d/dangling": "nowhere", "out": "/etc"} {
		b.must(os.Symlink(target, filepath.Join(b.box, link)))
	}
	m := b.complete(map[string]string{
		"/d/1": "/1", "/d/2": "/2", "/to-d/1": "/3", "/d/sub": "/4", "/e/4": "/5", "/d/to-2": "/6", "/d": "/7", "/e": "/8", "/d/dangling": "/9",
	})
	want := []string{
		"/d/1 /1 14", "/d/2 /2 14", "/to-d/1 /3 14", "/d/sub /4 dir", "/d/sub/3 /4/3 18", "/e/4 /5 14", "/d/to-2 /6 14", "/d /7 dir", "/d/1 /7/1 14",
		"/d/2 /7/2 14", "/d/sub /7/sub dir", "/d/sub/3 /7/sub/3 18", "/d/to-2 /7/to-2 14", "/e /8 dir", "/e/4 /8/4 14",
	}
	if diff := cmp.Diff(want, lines(b.files(m.ManifestID))); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	for _, source := range []string{"/d/gone", "/none/1", "/none/2", "/d/1/below", "/out/passwd", "/d/../../x"} {
		alone := b.manifest(map[string]string{source: "/z"})
		b.fails(map[string]string{source: "/z"}, source)
		after := b.manifest(map[string]string{source: "/z", "/d/1": "/y"})
		if *alone.ErrorMessage != *after.ErrorMessage {
			t.Errorf("%s: %q, and after another %q", source, *alone.ErrorMessage, *after.ErrorMessage)
		}
	}
}

func TestUnreadableSourceFailsTheManifest(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("skipped: root may read every file; run the tests as another user to see this one")
	}
	b := newBench(t)
	b.put("tree/ok", "tree/locked", "dir/locked/f")
	b.must(os.Chmod(filepath.Join(b.box, "tree/locked"), 0))
	b.must(os.Chmod(filepath.Join(b.box, "dir/locked"), 0))
	t.Cleanup(func() { b.must(os.Chmod(filepath.Join(b.box, "dir/locked"), 0o755)) })
	b.fails(map[string]string{"/tree": "/t"}, "/tree/locked", "permission")
	b.fails(map[string]string{"/dir": "/t"}, "/dir/locked", "permission")
}

func TestTheServersStateIsNeverSent(t *testing.T) {
	b := newBench(t)
	b.put("tree/ok")
	// A sandbox that contains the state directory may be read.
	b.must(b.db.Accounts().DeleteUser(t.Context(), "alice"))
	alice := accountOf(filepath.Dir(b.box))
	b.must(b.db.Accounts().InsertUser(t.Context(), alice))
	b.must(os.Symlink("../../state", filepath.Join(b.box, "tree", "link")))
	b.fails(map[string]string{"/state": "/s"}, "/state")
	b.fails(map[string]string{"/state/jetstream.db": "/s"}, "/state")
	m := b.complete(map[string]string{"/box": "/s"})
	if diff := cmp.Diff([]string{"/box/tree/link is a link that leads out of the sandbox, or to the server's own state"}, b.skipped(m)); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	for _, f := range b.files(b.complete(map[string]string{"/": "/all"}).ManifestID) {
		if strings.HasPrefix(f.Source, "/state") {
			t.Errorf("%s is in the manifest", f.Source)
		}
	}
}

// The directory was looked at, and while others are listed a link to the
// server's state takes its place.
func TestADirectoryThatBecomesALinkToTheStateIsNotListed(t *testing.T) {
	var b *bench
	pages := 0
	b = newBench(t, func(o *transfer.Options) {
		o.PageSize = 1
		o.Store = gated{o.Store, func(context.Context) error {
			if pages++; pages == 2 { // /box/tree/a
				dir := filepath.Join(b.box, "tree", "b")
				return errors.Join(os.RemoveAll(dir), os.Symlink("../../state", dir))
			}
			return nil
		}}
	})
	b.must(b.db.Accounts().DeleteUser(t.Context(), "alice"))
	b.must(b.db.Accounts().InsertUser(t.Context(), accountOf(filepath.Dir(b.box))))
	b.put("tree/a/x", "tree/b/x")
	b.fails(map[string]string{"/box/tree": "/t"}, "source /box/tree/b has changed while it was listed")
}

func TestClashingNamesFailTheManifest(t *testing.T) {
	b := newBench(t)
	b.put("a/x", "b", "c/x/y", "d/only", "e/")
	b.fails(map[string]string{"/a": "/d", "/b": "d/"}, "/a", "/b", "/d")
	b.fails(map[string]string{"/a": "/d", "/b": "/d/x"}, "/a/x", "/b", "/d/x")
	b.fails(map[string]string{"/a": "/d", "/c/x": "/d/x"}, "/a/x", "/c/x", "as a directory")
	b.fails(map[string]string{"/b": "/n", "/d": "/n/m"}, "/b", "/d", "as a directory")
	b.fails(map[string]string{"/a": "/d", "/a/x": "/d/x"}, "source /a/x would be sent twice as /d/x: by the mappings of /a to /d and of /a/x to /d/x; remove one of them")
	b.fails(map[string]string{"/": "/", "a/./x": "/a/x"}, "by the mappings of / to / and of a/./x to /a/x;")
	// Directories may be merged: the rights are those that both have. Names are
	// case-sensitive.
	b.must(os.Chmod(filepath.Join(b.box, "c/x"), 0o750))
	b.must(os.Chmod(filepath.Join(b.box, "d"), 0o705))
	b.put("m/x/z", "m/y/z")
	got := b.files(b.complete(map[string]string{"/c": "/n", "/d": "/n/x", "/m": "/n/x/y-"}).ManifestID)
	want := []string{"/c /n dir", "/c/x /n/x dir", "/c/x/y /n/x/y 16", "/d/only /n/x/only 17", "/m /n/x/y- dir",
		"/m/x /n/x/y-/x dir", "/m/x/z /n/x/y-/x/z 16", "/m/y /n/x/y-/y dir", "/m/y/z /n/x/y-/y/z 16"}
	if diff := cmp.Diff(want, lines(got)); diff != "" || got[1].Mode != 0o700 {
		t.Errorf("the merged directory has mode %o, want 700; file list (-want +got):\n%s", got[1].Mode, diff)
	}
	b.complete(map[string]string{"/a": "/n", "/d": "/n/sub", "/e": "/n/sub/f", "/b": "/N"})
	b.complete(map[string]string{"/e": "/n", "/d": "/n/sub"})
	b.complete(map[string]string{"/b": "/n", "/a": "/n-m", "/c": "/n0"})
}

func TestBadMappingsAreRefused(t *testing.T) {
	b := newBench(t)
	many := map[string]string{}
	for i := range 100_001 {
		many[fmt.Sprint("/", i)] = fmt.Sprint("/", i)
	}
	for _, mappings := range []map[string]string{
		nil, {}, many, {"": "/a"}, {"/a": ""}, {"/a": "/../b"}, {"/a": "b/.."}, {"/a": "a\x00b"}, {"/a": strings.Repeat("n", 256)},
		{"/a": strings.Repeat("n/", 2100)}, {"/" + strings.Repeat("s/", 2100): "/a"},
	} {
		_, err := b.CreateManifest(t.Context(), by("alice"), transfer.ManifestParams{FileMappings: mappings})
		b.refused(err, api.CodeInvalid)
		if len(api.ErrorOf(err).Fields) != 1 {
			t.Errorf("%v names no field", err)
		}
	}
}

// gated is a store that calls gate before each page of a file list is saved.
type gated struct {
	transfer.Store
	gate func(ctx context.Context) error
}

func (g gated) UpdateNoSync(ctx context.Context, fn func(transfer.Tx) error) error {
	return g.Store.UpdateNoSync(ctx, func(tx transfer.Tx) error { return fn(gatedTx{tx, func() error { return g.gate(ctx) }}) })
}

type gatedTx struct {
	transfer.Tx
	gate func() error
}

func (g gatedTx) AddManifestFiles(id string, files []transfer.ManifestFile) (int64, error) {
	merged, err := g.Tx.AddManifestFiles(id, files)
	if err != nil {
		return 0, err
	}
	return merged, g.gate()
}

func TestInterruptedWalkStartsAgain(t *testing.T) {
	b := newBench(t)
	for i := range 60 {
		b.put(fmt.Sprintf("tree/%02d", i))
	}
	b.stop()
	reached := make(chan struct{})
	var pages atomic.Int64
	b.options.PageSize = 10
	b.options.Store = gated{b.db.Transfers(), func(ctx context.Context) error {
		if pages.Add(1) == 4 { // the server stops while this page is saved
			close(reached)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	b.start()
	m, err := b.CreateManifest(t.Context(), by("alice"), transfer.ManifestParams{FileMappings: map[string]string{"/tree": "/t"}})
	b.must(err)
	<-reached
	b.stop()
	b.options.Store = b.db.Transfers()
	b.put("tree/00a") // the tree changes meanwhile
	b.must(os.Remove(filepath.Join(b.box, "tree/59")))
	b.start()
	m = b.walked(m.ManifestID)
	files := b.files(m.ManifestID)
	if m.Status != transfer.StatusComplete || *m.TotalFiles != 60 || len(files) != 61 || files[2].Name != "/t/00a" || files[60].Name != "/t/58" {
		t.Fatalf("after the restart: %+v with %d files", m, len(files))
	}
}

func TestDeletingAManifestStopsItsWalk(t *testing.T) {
	// The walk waits between two pages until the manifest is deleted.
	entered, deleted := make(chan struct{}), make(chan struct{})
	var walk sync.Once
	b := newBench(t, func(o *transfer.Options) {
		o.PageSize, o.Walkers = 1, 1
		o.Store = betweenPages{o.Store, func() {
			walk.Do(func() {
				close(entered)
				<-deleted
			})
		}}
	})
	b.put("tree/a", "tree/b", "tree/c", "other")
	m, err := b.CreateManifest(t.Context(), by("alice"), transfer.ManifestParams{FileMappings: map[string]string{"/tree": "/t"}})
	b.must(err)
	<-entered
	waited := make(chan error, 1)
	go func() {
		_, err := b.WaitForManifest(context.Background(), by("alice"), m.ManifestID, time.Minute)
		waited <- err
	}()
	b.must(b.DeleteManifest(t.Context(), by("alice"), m.ManifestID, false))
	close(deleted)
	b.refused(<-waited, api.CodeNotFound, m.ManifestID)
	b.complete(map[string]string{"/other": "/o"}) // the only walker is free again
	b.refused(b.DeleteManifest(t.Context(), by("alice"), m.ManifestID, false), api.CodeNotFound)
}

// betweenPages is a store that calls pause after a page was saved.
type betweenPages struct {
	transfer.Store
	pause func()
}

func (s betweenPages) UpdateNoSync(ctx context.Context, fn func(transfer.Tx) error) error {
	saved := false
	err := s.Store.UpdateNoSync(ctx, func(tx transfer.Tx) error {
		return fn(gatedTx{tx, func() error { saved = true; return nil }})
	})
	if saved {
		s.pause()
	}
	return err
}

func TestManifestInUseIsKept(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	x := b.transfer()
	b.refused(b.DeleteManifest(ctx, by("alice"), x.ManifestID, false), api.CodeConflict, "force")
	b.must(b.DeleteManifest(ctx, by("alice"), x.ManifestID, true))
	if x, err := b.LoadTransfer(ctx, x.TransferID); err != nil || x.Status != transfer.StatusCancelled {
		t.Errorf("the transfer is %s (%v), want cancelled", x.Status, err)
	}
	_, err := b.LoadManifestFiles(ctx, x.ManifestID, 0, 1)
	b.refused(err, api.CodeNotFound)
}

func TestMemoryOfAWalkIsBounded(t *testing.T) {
	const dirs, each = 200, 100
	long := strings.Repeat("n", 200)
	var first, most uint64
	var pages int
	b := newBench(t, func(o *transfer.Options) {
		o.PageSize = 500
		o.Store = gated{o.Store, func(context.Context) error {
			if pages++; pages%5 == 0 {
				var s runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&s)
				if first == 0 {
					first = s.HeapAlloc
				}
				most = max(most, s.HeapAlloc)
			}
			return nil
		}}
	})
	for d := range dirs {
		dir := filepath.Join(b.box, fmt.Sprintf("tree/%03d", d))
		b.must(os.MkdirAll(dir, 0o755))
		for i := range each {
			f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s%04d", long, i)))
			b.must(err)
			b.must(f.Close())
		}
	}
	m := b.complete(map[string]string{"/tree": "/t"})
	if *m.TotalFiles != dirs*each {
		t.Fatalf("%d files are listed, want %d", *m.TotalFiles, dirs*each)
	}
	// The whole list would be more than 8 MB of names alone.
	if first == 0 || most > first+2<<20 {
		t.Errorf("the heap grew from %d to %d bytes over %d pages", first, most, pages)
	}
	b.must(b.DeleteManifest(t.Context(), by("alice"), m.ManifestID, false))
}

func TestUnsavableFileListFailsTheManifest(t *testing.T) {
	b := newBench(t, func(o *transfer.Options) {
		o.Store = gated{o.Store, func(context.Context) error { return errTest }}
	})
	b.put("a")
	b.fails(map[string]string{"/a": "/a"}, "could not be saved", "log")
}

// pageStore calls a function after each page of a file list that it has saved.
type pageStore struct {
	transfer.Store
	saved func()
}

type pageTx struct {
	transfer.Tx
	pages *int
}

func (t pageTx) AddManifestFiles(manifestID string, files []transfer.ManifestFile) (int64, error) {
	*t.pages++
	return t.Tx.AddManifestFiles(manifestID, files)
}

func (p *pageStore) UpdateNoSync(ctx context.Context, fn func(transfer.Tx) error) error {
	pages := 0
	err := p.Store.UpdateNoSync(ctx, func(tx transfer.Tx) error { return fn(pageTx{tx, &pages}) })
	if err == nil && pages > 0 {
		p.saved()
	}
	return err
}

// The walk of a manifest stops when its owner is disabled or removed, and the
// file list is discarded.
func TestWalkOfADisabledUserStops(t *testing.T) {
	for what, end := range map[string]func(*bench) error{
		"was disabled": func(b *bench) error {
			_, err := b.db.Accounts().UpdateUser(context.Background(), "alice", func(u *account.User) error { u.Disabled = true; return nil })
			return err
		},
		`user alice, whose files these are, was removed`: func(b *bench) error { return b.db.Accounts().DeleteUser(context.Background(), "alice") },
		"whose files these are, was removed": func(b *bench) error { // and another got the name
			ctx := context.Background()
			return errors.Join(b.db.Accounts().DeleteUser(ctx, "alice"),
				b.db.Accounts().InsertUser(ctx, account.User{Name: "alice", Sandbox: b.box, CreateTime: api.Now()}))
		},
	} {
		t.Run(what, func(t *testing.T) {
			pages := 0
			var b *bench
			b = newBench(t, func(o *transfer.Options) {
				o.PageSize = 5
				o.Store = &pageStore{o.Store, func() {
					if pages++; pages == 2 {
						if err := end(b); err != nil {
							t.Error(err)
						}
					}
				}}
			})
			for i := range 100 {
				b.put(fmt.Sprintf("src/%03d", i))
			}
			b.fails(map[string]string{"/src": "/dst"}, what)
			if pages > 3 {
				t.Errorf("%d pages were saved", pages)
			}
			if what == "was disabled" { // nor does a new walk begin
				b.fails(map[string]string{"/src": "/dst"}, what)
				if pages > 3 {
					t.Errorf("%d pages were saved of a new manifest", pages)
				}
			}
		})
	}
}

// Two sparse files whose sizes together are beyond 63 bits.
func TestSizesThatOverflowFailTheManifest(t *testing.T) {
	if _, err := os.Stat("/dev/shm"); err == nil {
		t.Setenv("TMPDIR", "/dev/shm") // a tmpfs takes files of that size
	}
	b := newBench(t)
	const huge = 1 << 62
	for _, name := range []string{"a", "b", "c"} {
		b.put(name)
		if err := os.Truncate(filepath.Join(b.box, name), huge); err != nil {
			t.Skipf("skipped: the file system takes no file of %d bytes: %v", int64(huge), err)
		}
	}
	b.fails(map[string]string{"/a": "/a", "/b": "/b", "/c": "/c"}, "more than 9223372036854775807 bytes", "/b", "several manifests")
	if m := b.complete(map[string]string{"/a": "/a"}); *m.TotalSize != huge || m.DataSize > 1<<20 {
		t.Errorf("a sparse file has %d bytes, of which %d are data", *m.TotalSize, m.DataSize)
	}
}
