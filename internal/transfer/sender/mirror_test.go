package sender_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfertest"
	"jetstream/triggers"
)

// mirror sends manifests of bob's as mirrors.
type mirror struct {
	mappings map[string]string // nil: {"/src": "/src"}
	list     func(*transfer.ManifestParams)
	change   func(*transfer.Params)
	password string // empty: bob's
}

// params makes the destination and the manifest.
func (m mirror) params(from, to *site) transfer.Params {
	from.T.Helper()
	if m.mappings == nil {
		m.mappings = map[string]string{"/src": "/src"}
	}
	d, _, err := from.engine.CreateDestination(from.T.Context(), by("bob"), transfer.DestinationParams{Address: to.Address})
	if err != nil {
		from.T.Fatal(err)
	}
	list := transfer.ManifestParams{FileMappings: m.mappings}
	if m.list != nil {
		m.list(&list)
	}
	p := transfer.Params{
		ManifestID: from.manifestOf(list), DestinationID: d.DestinationID, Username: "bob", Conflict: transfer.ConflictChanged,
		Priority: 100, MirrorParams: transfer.MirrorParams{Mirror: true, MaxDelete: 1000},
	}
	if m.change != nil {
		m.change(&p)
	}
	return p
}

func (m mirror) secret() string {
	if m.password != "" {
		return m.password
	}
	return transfertest.BobsPassword
}

// send sends it and returns the transfer once it has ended.
func (m mirror) send(from, to *site) transfer.Transfer {
	from.T.Helper()
	to.Age()
	p := m.params(from, to)
	t := transfertest.Must[transfer.Transfer](from.T)(from.engine.CreateTransfer(from.T.Context(), by("bob"), p, m.secret()))
	return from.wait(t)
}

// have makes files with their names as content.
func (s *site) have(names ...string) {
	s.T.Helper()
	for _, name := range names {
		s.put(name, []byte(name))
	}
}

// holds checks which files, links and empty directories are in the sandbox.
func (s *site) holds(want ...string) {
	s.T.Helper()
	var got []string
	for name, what := range tree(s.T, s.Sandbox) {
		entries, err := os.ReadDir(filepath.Join(s.Sandbox, name))
		if !strings.HasPrefix(what, "d") || err == nil && len(entries) == 0 {
			got = append(got, filepath.ToSlash(name))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		s.T.Errorf("the sandbox holds (-want +got):\n%s", diff)
	}
}

func TestMirrorRemovesWhatTheSourceHasNot(t *testing.T) {
	from, to := newSite(t), newSite(t)
	from.have("src/a", "src/sub/b", "src/unchanged", "one")
	to.have("src/a", "src/gone", "src/old/deep/x", "src/old/y", "src/sub/c", "other/keep", "src.mov", "outside/keep", "one.old")
	for link, target := range map[string]string{"src/link": "../outside", "src/dangling": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(to.Sandbox, link)); err != nil {
			t.Fatal(err)
		}
	}
	got := mirror{mappings: map[string]string{"/src": "/src", "/one": "/one"}}.send(from, to)
	if got.Status != transfer.StatusComplete || got.RemovedFiles != 6 {
		t.Errorf("the transfer is %s and has removed %d files: %s", got.Status, got.RemovedFiles, got.ErrorMessage)
	}
	to.holds("src/a", "src/sub/b", "src/unchanged", "one", "other/keep", "src.mov", "outside/keep", "one.old")
	row := to.received(got)
	if row.RemovedFiles != 6 {
		t.Errorf("the receiver says %d", row.RemovedFiles)
	}
	if n := len(to.events(got)); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	removed := []string{"/src/dangling", "/src/gone", "/src/link", "/src/old/deep/x", "/src/old/y", "/src/sub/c"}
	var listed []triggers.ListedFile
	for f, err := range to.DB.Received().List(t.Context(), transfer.RecvSubject(row.SourcePublicKey, row.TransferID)) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, f)
	}
	var names []string
	for i, f := range listed {
		if f.Removed != (i >= len(listed)-6) {
			t.Errorf("%s at position %d of %d: removed is %v", f.ManifestFile, i, len(listed), f.Removed)
		}
		if f.Removed {
			names = append(names, f.ManifestFile)
			if f.FilePath != filepath.Join(to.Sandbox, filepath.FromSlash(f.ManifestFile)) || f.Path != f.ManifestFile {
				t.Errorf("%s is listed as %s, %s", f.ManifestFile, f.FilePath, f.Path)
			}
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff(removed, names); diff != "" {
		t.Errorf("listed as removed (-want +got):\n%s", diff)
	}
	// By pages, over the end of the entries.
	names = nil
	for at := int64(0); ; {
		files, gone, next, err := to.Receiver.Files(t.Context(), api.Caller{Superuser: true}, got.TransferID, at, 2)
		if err != nil || len(files)+len(gone) > 2 {
			t.Fatal(files, gone, err)
		}
		for _, r := range gone {
			names = append(names, r.Name)
		}
		if at = next; next == 0 {
			break
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff(removed, names); diff != "" {
		t.Errorf("shown as removed (-want +got):\n%s", diff)
	}
}

// What must stay, one rule after the other.
func TestMirrorLeaves(t *testing.T) {
	staging := ".jetstream-0123456789abcdef0123456789abcdef-01234567"
	for name, c := range map[string]struct {
		mirror mirror
		there  []string // at the receiver, beside src/stale, which is removed
		stay   []string
		before func(t *testing.T, from, to *site)
	}{
		"what a conflict skip keeps": {
			mirror: mirror{change: func(p *transfer.Params) { p.Conflict = transfer.ConflictSkip }},
			there:  []string{"src/a"}, stay: []string{"src/a"},
		},
		"a directory that a conflict skip keeps in the place of a file": {
			mirror: mirror{change: func(p *transfer.Params) { p.Conflict = transfer.ConflictSkip }},
			there:  []string{"src/b/inside"}, stay: []string{"src/b/inside"},
			before: func(_ *testing.T, from, _ *site) { from.have("src/b") },
		},
		"what filters left out": {
			mirror: mirror{list: func(p *transfer.ManifestParams) {
				p.Include, p.Exclude = []string{"y.tmp"}, []string{"*.tmp", "/src/cache/"}
			}},
			there:  []string{"src/x.tmp", "src/y.tmp", "src/cache/in/z", "src/old/cache/z", "src/old/x.tmp"},
			stay:   []string{"src/x.tmp", "src/cache/in/z", "src/old/x.tmp"},
			before: func(_ *testing.T, from, _ *site) { from.have("src/x.tmp", "src/cache/new") },
		},
		"part files": {
			there: []string{"src/" + staging + "/0.part", "src/" + staging + ".7.part", "src/old/" + staging + "/0.part"},
			stay:  []string{"src/" + staging + "/0.part", "src/" + staging + ".7.part", "src/old/" + staging + "/0.part"},
		},
		"what a link at the receiver leads to": {
			there: []string{"real/a", "real/x"}, stay: []string{"real/a", "real/x", "src/sub", "real/b"},
			before: func(t *testing.T, from, to *site) {
				from.have("src/sub/b")
				if err := os.Symlink("../real", filepath.Join(to.Sandbox, "src/sub")); err != nil {
					t.Fatal(err)
				}
			},
		},
		"what arrives through a link into the same directory": {
			there: []string{"src/real/x"}, stay: []string{"src/sub", "src/real/b", "src/real/x"}, // src/real has changed
			before: func(t *testing.T, from, to *site) {
				from.have("src/sub/b")
				if err := os.Symlink("real", filepath.Join(to.Sandbox, "src/sub")); err != nil {
					t.Fatal(err)
				}
			},
		},
		"what a root that is a link leads to": {
			mirror: mirror{mappings: map[string]string{"/src": "/src", "/more": "/more"}},
			there:  []string{"elsewhere/x"}, stay: []string{"elsewhere/x", "elsewhere/m", "more"},
			before: func(t *testing.T, from, to *site) {
				from.have("more/m")
				if err := os.Symlink("elsewhere", filepath.Join(to.Sandbox, "more")); err != nil {
					t.Fatal(err)
				}
			},
		},
		"sandboxes of other users": {
			there: []string{"src/alice/hers", "src/away/x"}, stay: []string{"src/alice/hers", "src/now", "src/away/x"},
			before: func(t *testing.T, _, to *site) {
				if err := os.Symlink("away", filepath.Join(to.Sandbox, "src/now")); err != nil {
					t.Fatal(err)
				}
				for user, dir := range map[string]string{"alice": "src/alice", "eve": "src/now"} {
					if _, err := to.Accounts.Create(t.Context(), account.NewUser{Name: user, Password: "x", Sandbox: filepath.Join(to.Sandbox, dir)}); err != nil {
						t.Fatal(err)
					}
				}
			},
		},
		"the siblings of a file": {
			mirror: mirror{mappings: map[string]string{"/src": "/src", "/f": "/dir/f"}},
			there:  []string{"dir/x"}, stay: []string{"dir/x", "dir/f"},
			before: func(_ *testing.T, from, _ *site) { from.have("f") },
		},
		"files of another source in the same directory": {
			mirror: mirror{mappings: map[string]string{"/src": "/src", "/f": "/src/sub/f"}},
			stay:   []string{"src/sub/f"},
			before: func(_ *testing.T, from, _ *site) { from.have("f") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := newSite(t), newSite(t)
			from.have("src/a")
			to.have(append(c.there, "src/stale")...)
			if c.before != nil {
				c.before(t, from, to)
			}
			got := c.mirror.send(from, to)
			if got.Status != transfer.StatusComplete {
				t.Errorf("the transfer is %s: %s", got.Status, got.ErrorMessage)
			}
			to.holds(slices.Compact(slices.Sorted(slices.Values(append(c.stay, "src/a"))))...)
		})
	}
}

// Nothing at all goes, the files stay placed, and the transfer fails with a reason.
func TestMirrorRemovesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		mirror mirror
		before func(t *testing.T, from, to *site)
		says   string
		stays  []string // beside src/stale, src/old/x and src/a
	}{
		"above maxDelete": {
			mirror: mirror{change: func(p *transfer.Params) { p.MaxDelete = 2 }}, says: "3 entries would go, and maxDelete is 2",
		},
		"with a maxDelete of 0": {
			mirror: mirror{change: func(p *transfer.Params) { p.MaxDelete = 0 }}, says: "3 entries would go, and maxDelete is 0",
		},
		"of an empty source": {
			mirror: mirror{mappings: map[string]string{"/src": "/src", "/empty": "/other"}}, says: `the source of "/other" has no files`,
			stays: []string{"other/x"},
			before: func(t *testing.T, from, to *site) {
				if err := os.MkdirAll(filepath.Join(from.Sandbox, "empty/in"), 0o700); err != nil {
					t.Fatal(err)
				}
				to.have("other/x")
			},
		},
		"of sources that could not be read": {
			mirror: mirror{
				mappings: map[string]string{"/src": "/src", "/missing": "/missing"},
				list:     func(p *transfer.ManifestParams) { p.OnError = "continue" },
			},
			says: "1 entry of the sources could not be read",
		},
		"of what filters leave no files of": {
			mirror: mirror{
				mappings: map[string]string{"/src": "/src", "/only": "/only"},
				list:     func(p *transfer.ManifestParams) { p.Exclude = []string{"*.tmp"} },
			},
			says:   `the source of "/only" has no files`,
			before: func(_ *testing.T, from, _ *site) { from.have("only/x.tmp") },
			stays:  []string{"only"},
		},
		"of a source with a link to nothing": {
			says: `source "/src/away" is a link to something that does not exist`,
			before: func(t *testing.T, from, _ *site) {
				if err := os.Symlink("nowhere", filepath.Join(from.Sandbox, "src/away")); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := newSite(t), newSite(t)
			from.have("src/a")
			to.have("src/stale", "src/old/x")
			if c.before != nil {
				c.before(t, from, to)
			}
			got := c.mirror.send(from, to)
			if got.Status != transfer.StatusError || !strings.Contains(got.ErrorMessage, c.says) || !strings.Contains(got.ErrorMessage, "removed nothing") || got.RemovedFiles != 0 {
				t.Errorf("the transfer is %s, %d removed: %s", got.Status, got.RemovedFiles, got.ErrorMessage)
			}
			want := append(c.stays, "src/a", "src/stale", "src/old/x")
			if slices.Contains(c.stays, "other/x") {
				want = append(want, "other/in")
			}
			to.holds(want...)
			// A dry run says the same, and names what the limit keeps.
			p := c.mirror.params(from, to)
			plan, err := from.dryMirror(p)
			if err != nil || !strings.Contains(plan.RemovalFault, c.says) {
				t.Errorf("the dry run says %q (%v)", plan.RemovalFault, err)
			}
		})
	}
}

// What is in the way of a file or a directory is an error as without mirror.
func TestMirrorWithSomethingInTheWay(t *testing.T) {
	for name, c := range map[string]struct{ source, there, says string }{
		"a directory": {"src/x", "src/x/in", "a directory is in the way"},
		"a file":      {"src/x/in", "src/x", "is in the way of a directory"},
	} {
		for _, onError := range []string{"stop", "continue"} {
			t.Run(name+" "+onError, func(t *testing.T) {
				from, to := newSite(t), newSite(t)
				from.have("src/a", c.source)
				to.have("src/stale", c.there)
				got := mirror{change: func(p *transfer.Params) { p.OnError = onError }}.send(from, to)
				if got.Status != transfer.StatusError || !strings.Contains(got.ErrorMessage, c.says) {
					t.Errorf("the transfer is %s: %s", got.Status, got.ErrorMessage)
				}
				for _, name := range []string{"src/stale", c.there} {
					if _, err := os.Lstat(filepath.Join(to.Sandbox, name)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func (s *site) dryMirror(p transfer.Params) (transfer.Plan, error) {
	s.T.Helper()
	t, err := s.engine.DryRun(s.T.Context(), by("bob"), p, transfer.DryRunParams{DryRun: true}, transfertest.BobsPassword)
	if err != nil {
		return transfer.Plan{}, err
	}
	return s.sender.DryRun(s.T.Context(), t, transfertest.BobsPassword, patience)
}

// A file that cannot be read any more, with onError continue, keeps what it would have
// replaced, and all else.
func TestMirrorOfAFileThatHasGone(t *testing.T) {
	from, to := newSite(t), newSite(t)
	from.have("src/a", "src/gone")
	to.have("src/stale", "src/gone")
	to.Age()
	p := mirror{change: func(p *transfer.Params) { p.OnError, p.Conflict = "continue", transfer.ConflictOverwrite }}.params(from, to)
	if err := os.Remove(filepath.Join(from.Sandbox, "src/gone")); err != nil {
		t.Fatal(err)
	}
	tr := transfertest.Must[transfer.Transfer](t)(from.engine.CreateTransfer(t.Context(), by("bob"), p, transfertest.BobsPassword))
	if got := from.wait(tr); got.Status != transfer.StatusError || !strings.Contains(got.ErrorMessage, "1 of 2 entries failed") {
		t.Errorf("the transfer is %s: %s", got.Status, got.ErrorMessage)
	}
	to.holds("src/a", "src/gone", "src/stale")
}

// A dry run names what would be removed, and removes nothing.
func TestDryRunOfAMirror(t *testing.T) {
	from, to := newSite(t), newSite(t)
	from.have("src/a", "src/sub/b", "new/n")
	to.have("src/a", "src/old/x", "src/sub/c", "other")
	var many []string
	for i := range 1500 {
		many = append(many, fmt.Sprintf("src/many/%s%04d", strings.Repeat("x", 200), i))
	}
	to.have(many...)
	to.Age()
	m := mirror{mappings: map[string]string{"/src": "/src", "/new": "/new"}, change: func(p *transfer.Params) { p.MaxDelete = 5000 }}
	plan, err := from.dryMirror(m.params(from, to))
	if err != nil {
		t.Fatal(err)
	}
	if plan.EntriesToRemove != 1504 || len(plan.Removed) != 1000 || !plan.MoreRemoved || plan.RemovalFault != "" {
		t.Errorf("%d would go, %d are named, more: %v, %q", plan.EntriesToRemove, len(plan.Removed), plan.MoreRemoved, plan.RemovalFault)
	}
	if last := plan.Removed[0]; last.DestPath != "/"+many[0] || last.IsDir || last.FileSize != int64(len(many[0])) {
		t.Errorf("the first is %+v", last)
	}
	for _, name := range many[:1490] {
		if err := os.Remove(filepath.Join(to.Sandbox, name)); err != nil {
			t.Fatal(err)
		}
	}
	to.Age()
	plan, err = from.dryMirror(m.params(from, to))
	if err != nil || plan.EntriesToRemove != 14 || plan.MoreRemoved || len(plan.Removed) != 14 {
		t.Errorf("%d would go, %d are named (%v)", plan.EntriesToRemove, len(plan.Removed), err)
	}
	to.holds(append(many[1490:], "src/a", "src/old/x", "src/sub/c", "other")...)
	if got := m.send(from, to); got.Status != transfer.StatusComplete || got.RemovedFiles != 12 {
		t.Errorf("the transfer is %s and has removed %d: %s", got.Status, got.RemovedFiles, got.ErrorMessage)
	}
	to.holds("src/a", "src/sub/b", "new/n", "other")
}

// A user who lets no mirror remove files is not sent anything.
func TestMirrorThatTheUserForbids(t *testing.T) {
	from, to := newSite(t), newSite(t)
	from.have("src/a")
	to.have("src/stale")
	no := false
	if _, err := to.Accounts.Update(t.Context(), "bob", account.Change{MayDelete: &no}); err != nil {
		t.Fatal(err)
	}
	got := mirror{}.send(from, to)
	if got.Status != transfer.StatusError || !strings.Contains(got.ErrorMessage, "user bob lets no mirror remove files") {
		t.Errorf("the transfer is %s: %s", got.Status, got.ErrorMessage)
	}
	_, err := from.dryMirror(mirror{}.params(from, to))
	if !errors.Is(err, &api.Error{Code: api.CodeConflict}) || !strings.Contains(err.Error(), "user bob lets no mirror remove files") {
		t.Errorf("the dry run: %v", err)
	}
	to.holds("src/stale")
}

func TestMirrorIsNotForRename(t *testing.T) {
	from, to := newSite(t), newSite(t)
	from.have("src/a")
	p := mirror{change: func(p *transfer.Params) { p.Conflict = transfer.ConflictRename }}.params(from, to)
	if _, err := from.engine.CreateTransfer(t.Context(), by("bob"), p, "x"); !errors.Is(err, &api.Error{Code: api.CodeInvalid}) {
		t.Errorf("got %v", err)
	}
}

// A mirror by a token that is confined to a directory removes in that, and a file beside
// it stays.
func TestMirrorByAConfinedToken(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.have("src/1")
	b.have("in/src/stale", "in/other", "src/stale")
	_, token := b.token("bob", account.NewAPIToken{Permissions: mayWrite, Path: "/in"})
	for _, mappings := range []map[string]string{{"/src": "/src"}, {"/src": "/"}} {
		got := mirror{mappings: mappings, password: token, change: func(p *transfer.Params) { p.DestinationPath = "/in" }}.send(a, b)
		if got.Status != transfer.StatusComplete {
			t.Fatalf("it ended as %s: %s", got.Status, got.ErrorMessage)
		}
		if _, err := os.Lstat(filepath.Join(b.Sandbox, "src", "stale")); err != nil {
			t.Errorf("outside of the token's directory: %v", err)
		}
		if mappings["/src"] == "/src" {
			b.holds("in/other", "in/src/1", "src/stale")
		}
	}
	b.holds("in/1", "src/stale")
}
