package transfer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// create makes a manifest of alice's and waits until it is walked.
func (b *bench) create(p transfer.ManifestParams) transfer.Manifest {
	b.t.Helper()
	m, err := b.CreateManifest(b.t.Context(), by("alice"), p)
	b.must(err)
	return b.walked(m.ManifestID)
}

// names lists the names in a manifest that is complete.
func (b *bench) names(m transfer.Manifest) (names []string) {
	b.t.Helper()
	if m.Status != transfer.StatusComplete {
		b.t.Fatalf("the manifest is %s: %v", m.Status, *m.ErrorMessage)
	}
	for _, f := range b.files(m.ManifestID) {
		names = append(names, f.Name)
	}
	return names
}

func TestFilterLeavesOutOfAManifest(t *testing.T) {
	b := newBench(t)
	b.put("src/a.mov", "src/a.tmp", "src/tmp/x.mov", "src/cut/tmp/y", "src/cut/z.mov", "src/empty/", "one.tmp", "tmp/in")
	b.must(os.Symlink("../tmp", filepath.Join(b.box, "src/linked")))
	b.must(os.Symlink("nowhere", filepath.Join(b.box, "src/gone.tmp")))
	sources := map[string]string{"/src": "/reel", "/one.tmp": "/one.tmp", "/tmp": "/tmp"}
	for _, tt := range []struct {
		include, exclude, want []string
		skipped                int64
	}{
		{nil, []string{"*.tmp", "tmp/"}, []string{"/reel", "/reel/a.mov", "/reel/cut", "/reel/cut/z.mov", "/reel/empty", "/reel/linked", "/reel/linked/in"}, 0},
		{nil, []string{"/reel/tmp", "/src/a.mov", "linked/"}, []string{
			"/one.tmp", "/reel", "/reel/a.mov", "/reel/a.tmp", "/reel/cut", "/reel/cut/tmp", "/reel/cut/tmp/y", "/reel/cut/z.mov", "/reel/empty", "/tmp", "/tmp/in",
		}, 1}, // names are those at the receiver; a link is what it leads to
		{[]string{"/reel/", "*.mov"}, []string{"*"}, []string{"/reel", "/reel/a.mov"}, 0},
		{nil, []string{"**"}, nil, 0},
	} {
		m := b.create(transfer.ManifestParams{FileMappings: sources, Include: tt.include, Exclude: tt.exclude})
		names := b.names(m)
		slices.Sort(names)
		if diff := cmp.Diff(tt.want, names); diff != "" {
			t.Errorf("include %q exclude %q (-want +got):\n%s", tt.include, tt.exclude, diff)
		}
		if *m.SkippedEntries != tt.skipped || m.ReadErrors != 0 {
			t.Errorf("include %q exclude %q: %d skipped, %d not read", tt.include, tt.exclude, *m.SkippedEntries, m.ReadErrors)
		}
		if len(m.Include) != len(tt.include) || !slices.Equal(m.Exclude, tt.exclude) || m.OnError != "stop" {
			t.Errorf("the manifest has %q, %q, %q", m.Include, m.Exclude, m.OnError)
		}
	}
	// A source at the top has no name that a pattern could match.
	m := b.create(transfer.ManifestParams{FileMappings: map[string]string{"/tmp": "/"}, Exclude: []string{"tmp"}})
	if diff := cmp.Diff([]string{"/", "/in"}, b.names(m)); diff != "" {
		t.Error(diff)
	}
}

func TestBadPatternsAreRefused(t *testing.T) {
	b := newBench(t)
	for field, p := range map[string]transfer.ManifestParams{
		"include": {Include: []string{"[a"}},
		"exclude": {Exclude: []string{"ok", "./tmp"}},
	} {
		p.FileMappings = map[string]string{"/src": "/reel"}
		_, err := b.CreateManifest(t.Context(), by("alice"), p)
		b.refused(err, api.CodeInvalid, "the "+field+" pattern")
		if fields := api.ErrorOf(err).Fields; len(fields) != 1 || fields[0].Field != field {
			t.Errorf("%v names the fields %v", err, fields)
		}
	}
}

func TestWithContinueWhatCannotBeReadIsLeftOut(t *testing.T) {
	var b *bench
	pages := 0
	b = newBench(t, func(o *transfer.Options) {
		o.PageSize = 1
		o.Store = gated{o.Store, func(context.Context) error {
			if pages++; pages == 3 { // /s/a/x: the next directories were looked at
				return errors.Join(os.RemoveAll(filepath.Join(b.box, "src/b")), os.RemoveAll(filepath.Join(b.box, "src/tmp")))
			}
			return nil
		}}
	})
	b.put("src/a/x", "src/b/x", "src/c/x", "src/tmp/x")
	m := b.create(transfer.ManifestParams{
		FileMappings: map[string]string{"/src": "/s", "/missing": "/m", "/gone.tmp": "/g.tmp"}, OnError: "continue", Exclude: []string{"tmp", "*.tmp"},
	})
	if diff := cmp.Diff([]string{"/s", "/s/a", "/s/a/x", "/s/c", "/s/c/x"}, b.names(m)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/missing is not there", "/src/b is not there"}, b.skipped(m)); diff != "" || m.ReadErrors != 2 {
		t.Errorf("%d not read; skipped (-want +got):\n%s", m.ReadErrors, diff)
	}
	// What is wrong with the call is no fault of a file.
	m = b.create(transfer.ManifestParams{FileMappings: map[string]string{"/src": "/s", "/../out": "/o"}, OnError: "continue"})
	if m.Status != transfer.StatusError || !strings.Contains(*m.ErrorMessage, "outside the sandbox") {
		t.Errorf("a source outside the sandbox: %+v", m)
	}
}

func TestWithContinueUnreadableFilesAreLeftOut(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("skipped: root may read every file; run the tests as another user to see this one")
	}
	b := newBench(t)
	b.put("src/locked", "src/dir/x", "src/ok", "src/locked.tmp")
	for _, name := range []string{"src/locked", "src/dir", "src/locked.tmp"} {
		b.must(os.Chmod(filepath.Join(b.box, name), 0))
	}
	t.Cleanup(func() { b.must(os.Chmod(filepath.Join(b.box, "src/dir"), 0o755)) })
	m := b.create(transfer.ManifestParams{
		FileMappings: map[string]string{"/src": "/s", "/src/locked": "/l"}, Include: []string{"*/"}, Exclude: []string{"*.tmp"}, OnError: "continue",
	})
	if diff := cmp.Diff([]string{"/s", "/s/ok"}, b.names(m)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	const reason = " is unreadable: the server's user has no permission"
	if diff := cmp.Diff([]string{"/src/dir" + reason, "/src/locked" + reason, "/src/locked" + reason}, b.skipped(m)); diff != "" || m.ReadErrors != 3 {
		t.Errorf("%d not read; skipped (-want +got):\n%s", m.ReadErrors, diff)
	}
	// Without continue what a filter leaves out is no fault either.
	m = b.create(transfer.ManifestParams{FileMappings: map[string]string{"/src": "/s"}, Exclude: []string{"*.tmp", "locked", "dir"}})
	if diff := cmp.Diff([]string{"/s", "/s/ok"}, b.names(m)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}
