package transfer_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/transfer"
)

const stagingName = transfer.StagingPrefix + "0123456789abcdef0123456789abcdef-01234567"

// skipped lists what a manifest leaves out, sorted, and checks the count.
func (b *bench) skipped(m transfer.Manifest) (out []string) {
	b.t.Helper()
	for from := int64(0); ; {
		list, next, err := b.SkippedFiles(b.t.Context(), by("alice"), m.ManifestID, from, 2)
		b.must(err)
		for _, f := range list {
			out = append(out, f.Source+" is "+f.Reason)
		}
		if next == 0 {
			break
		}
		from = next
	}
	if m.SkippedEntries == nil || *m.SkippedEntries != int64(len(out)) {
		b.t.Errorf("skippedEntries is %v, and %d are listed", m.SkippedEntries, len(out))
	}
	slices.Sort(out)
	return out
}

func TestSpecialFilesAndLinksToNothingAreSkipped(t *testing.T) {
	b := newBench(t)
	b.put("tree/ok", "tree/a/b/f", "tree/dir/f", "plain")
	outside := filepath.Join(filepath.Dir(b.box), "secret")
	b.must(os.WriteFile(outside, []byte("secret"), 0o644))
	for link, target := range map[string]string{
		"tree/out": outside, "tree/etc": "/etc", "tree/up": "../../secret", "tree/dangling": "nothing",
		"tree/under": "ok/below", "tree/back": "nothing/../ok", "tree/long": strings.Repeat("x", 300),
		"tree/a/b/loop": "..", "tree/self": "self", "tree/one": "two", "tree/two": "one", "tree/good": "../plain",
	} {
		b.must(os.Symlink(target, filepath.Join(b.box, link)))
	}
	l, err := net.Listen("unix", filepath.Join(b.box, "tree", "s"))
	b.must(err)
	defer l.Close()

	m := b.complete(map[string]string{"/tree": "/t", "/tree/dangling": "/d", "/tree/s": "/s", "/tree/out": "/o"})
	want := []string{
		"/tree/a/b/loop is a link that leads back to a directory it lies in",
		"/tree/back is a link to something that does not exist",
		"/tree/dangling is a link to something that does not exist", "/tree/dangling is a link to something that does not exist",
		"/tree/etc is a link that leads out of the sandbox, or to the server's own state",
		"/tree/long is a link to something that does not exist",
		"/tree/one is a link that leads round in a circle, or through too many links",
		"/tree/out is a link that leads out of the sandbox, or to the server's own state", "/tree/out is a link that leads out of the sandbox, or to the server's own state",
		"/tree/s is a socket", "/tree/s is a socket",
		"/tree/self is a link that leads round in a circle, or through too many links",
		"/tree/two is a link that leads round in a circle, or through too many links",
		"/tree/under is a link to something that does not exist",
		"/tree/up is a link that leads out of the sandbox, or to the server's own state",
	}
	if diff := cmp.Diff(want, b.skipped(m)); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	var sources []string
	for _, f := range b.files(m.ManifestID) {
		sources = append(sources, f.Source)
	}
	if diff := cmp.Diff([]string{"/tree", "/tree/a", "/tree/a/b", "/tree/a/b/f", "/tree/dir", "/tree/dir/f", "/tree/good", "/tree/ok"}, sources); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestPartFilesAreNeverListed(t *testing.T) {
	b := newBench(t)
	b.put("tree/ok", "tree/"+stagingName+"/0.part", "tree/sub/"+strings.ToUpper(stagingName)+"/1.part", "tree/.jetstream-notes")
	b.must(os.Symlink(stagingName+"/0.part", filepath.Join(b.box, "tree/link")))
	b.must(os.Chmod(filepath.Join(b.box, "tree", stagingName), 0)) // nor looked into
	t.Cleanup(func() { b.must(os.Chmod(filepath.Join(b.box, "tree", stagingName), 0o700)) })
	if os.Geteuid() != 0 {
		b.must(os.Remove(filepath.Join(b.box, "tree/link")))
	}
	m := b.complete(map[string]string{"/tree": "/t", "/tree/" + stagingName: "/s"})
	for _, line := range b.skipped(m) {
		if !strings.HasSuffix(line, " is part files of an arriving transfer") {
			t.Error(line)
		}
	}
	if want := int64(3); os.Geteuid() != 0 && *m.SkippedEntries != want {
		t.Errorf("%d skipped, want %d", *m.SkippedEntries, want)
	}
	want := []string{"/tree /t dir", "/tree/.jetstream-notes /t/.jetstream-notes 36", "/tree/ok /t/ok 23", "/tree/sub /t/sub dir"}
	if got := lines(b.files(m.ManifestID)); len(got) != len(want) || got[0] != want[0] {
		t.Errorf("list %q, want %q", got, want)
	}
}

func TestPartFilesMayComeAndGoDuringAWalk(t *testing.T) {
	b := newBench(t, func(o *transfer.Options) { o.PageSize = 1 })
	b.stop()
	b.put("tree/a", "tree/b", "tree/"+stagingName+"/0.part", "tree/z/c")
	var once sync.Once
	b.options.Store = gated{b.options.Store, func(context.Context) (err error) {
		once.Do(func() { // after the names of tree were read
			err = os.RemoveAll(filepath.Join(b.box, "tree", stagingName))
			b.put("tree/z/" + stagingName + "/0.part")
		})
		return err
	}}
	b.start()
	m := b.complete(map[string]string{"/tree": "/t"})
	for _, f := range b.files(m.ManifestID) {
		if strings.Contains(f.Source, stagingName) {
			t.Errorf("%s is in the manifest", f.Source)
		}
	}
	if *m.TotalFiles != 3 {
		t.Errorf("%d files, want 3", *m.TotalFiles)
	}
}
