//go:build linux || darwin

package sender_test

import (
	"context"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/transfer"
	"jetstream/internal/transfertest"
)

// finishing is a store that calls before once, when all data of a transfer have arrived
// and its files get their final names.
type finishing struct {
	transfer.RecvStore
	before func()
}

func (s *finishing) RecvFiles(ctx context.Context, key, id string, from int64) iter.Seq2[transfer.RecvFile, error] {
	if before := s.before; before != nil {
		s.before = nil
		before()
	}
	return s.RecvStore.RecvFiles(ctx, key, id, from)
}

// meanwhile has f called before the files of the next transfer get their final names.
func (s *site) meanwhile(f func()) {
	s.T.Helper()
	s.Stop()
	s.WrapStore = func(inner transfer.RecvStore) transfer.RecvStore { return &finishing{inner, f} }
	s.start()
}

// left lists the files below src in the sandbox.
func (s *site) left() (names []string) {
	s.T.Helper()
	root := s.path("src")
	s.must(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(root, path)
			names = append(names, name)
		}
		return err
	}))
	return names
}

// removes checks what became of the sources of a transfer: those that are left, how many
// were removed, and what is said of the others.
func (s *site) removes(tr transfer.Transfer, status transfer.Status, left []string, deleted int64, says string) transfer.Transfer {
	s.T.Helper()
	got := s.wait(tr)
	if got.Status != status || got.DeletingSources {
		s.T.Fatalf("it ended as %s (%s), still removing: %v\n%s", got.Status, got.ErrorMessage, got.DeletingSources, s.log)
	}
	if there := s.left(); !slices.Equal(there, left) {
		s.T.Errorf("left are %q, want %q", there, left)
	}
	kept := int64(len(left))
	if status != transfer.StatusComplete {
		kept = 0
	}
	if got.SourcesDeleted != deleted || got.SourcesKept != kept || !strings.Contains(got.SourcesMessage, says) || (says == "") != (got.SourcesMessage == "") {
		s.T.Errorf("%d are said to be removed and %d kept: %q; want %d and %d: ...%s...", got.SourcesDeleted, got.SourcesKept, got.SourcesMessage, deleted, kept, says)
	}
	return got
}

// Sources go when they have arrived, directories stay.
func TestSourcesAreRemoved(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/large", 9<<20)
	a.write("src/dir/sub/small", 100)
	a.put("src/dir/empty", nil)
	for _, name := range []string{"a", "b", "c"} {
		a.write("src/many/"+name, 3000)
	}
	a.must(os.Mkdir(a.path("src/void"), 0o700))
	want := tree(t, a.path("src"))
	tr := a.send(b, job{deleteSource: true})
	a.removes(tr, transfer.StatusComplete, nil, 6, "")
	complete(t, a, b, tr)
	got := tree(t, b.path("src"))
	if !maps.Equal(want, got) {
		t.Errorf("arrived are %v, want %v", got, want)
	}
	for _, dir := range []string{"dir/sub", "many", "void"} {
		if _, err := os.Stat(a.path("src/" + dir)); err != nil {
			t.Error(err)
		}
	}
}

// What exists at the receiver goes only if it was replaced or has the same digest.
func TestOnlySourcesThatAreThereAreRemoved(t *testing.T) {
	when := time.Unix(1.5e9, 0)
	all := []string{"absent", "empty", "newer", "same", "silent"}
	for conflict, c := range map[string]struct {
		left []string
		says string
	}{
		"overwrite": {nil, ""},
		"changed":   {nil, ""}, // compares by digests
		"update":    {[]string{"empty", "newer", "same", "silent"}, `"/src/empty" was not sent since the receiver has a file of that name`},
		"skip":      {[]string{"empty", "newer", "same", "silent"}, `"/src/empty" was not sent since the receiver has a file of that name`},
		"rename":    {nil, ""},
		"fail":      {all, ""},
	} {
		t.Run(conflict, func(t *testing.T) {
			a, b := newSite(t), newSite(t)
			for name, content := range map[string][2]string{
				"absent": {"absent", ""}, "empty": {"", ""}, "newer": {"newer", "there"}, "same": {"same", "same"},
				"silent": {"silent", "Silent"}, // of the same size and time
			} {
				a.put("src/"+name, []byte(content[0]))
				a.must(os.Chtimes(a.path("src/"+name), when, when))
				at := when
				if name == "newer" {
					at = when.Add(time.Hour)
				}
				if name != "absent" {
					b.put("src/"+name, []byte(content[1]))
					b.must(os.Chtimes(b.path("src/"+name), at, at))
				}
			}
			want := tree(t, a.path("src"))
			tr := a.send(b, job{conflict: conflict, deleteSource: true})
			status := transfer.StatusComplete
			if conflict == "fail" {
				status = transfer.StatusError
			}
			deleted := int64(len(all) - len(c.left))
			a.removes(tr, status, c.left, deleted, c.says)
			if conflict == "rename" {
				return
			}
			got := tree(t, b.path("src"))
			for _, name := range all {
				if !slices.Contains(c.left, name) && got[name] != want[name] {
					t.Errorf("%s is gone, and at the receiver it is %s, not %s", name, got[name], want[name])
				}
			}
		})
	}
}

// What changes after it was read stays, and so does what is no longer that file.
func TestSourcesThatHaveChangedStay(t *testing.T) {
	a, b := newSite(t), newSite(t)
	changes := rewrites()
	changes["has other rights"] = func(s *site, name string) { s.must(os.Chmod(s.path(name), 0o600)) }
	changes["is written with the same, time and all"] = func(s *site, name string) {
		fi, err := os.Stat(s.path(name))
		s.must(err)
		content, err := os.ReadFile(s.path(name))
		s.must(err)
		s.put(name, content)
		s.must(os.Chtimes(s.path(name), fi.ModTime(), fi.ModTime()))
	}
	changes["is a link to the same"] = func(s *site, name string) {
		s.must(os.Rename(s.path(name), s.path("elsewhere")))
		s.must(os.Symlink(s.path("elsewhere"), s.path(name)))
	}
	var names []string
	for what := range changes {
		a.write("src/"+what, 5000)
		names = append(names, what)
	}
	slices.Sort(names)
	a.write("src/quiet", 5000)
	a.write("src/gone", 5000)
	tr := func() transfer.Transfer {
		b.meanwhile(func() {
			for what, change := range changes {
				change(a, "src/"+what)
			}
			a.must(os.Remove(a.path("src/gone")))
		})
		return a.send(b, job{deleteSource: true})
	}()
	got := a.removes(tr, transfer.StatusComplete, names, 2, "since it was sent")
	if got.FilesSent != int64(len(names))+2 {
		t.Errorf("%d files were sent", got.FilesSent)
	}
}

// A file that is sent in its new state goes in that state.
func TestSourcesThatChangeBeforeTheyAreSentAreRemoved(t *testing.T) {
	a, b := newSite(t), newSite(t)
	for what := range rewrites() {
		a.write("src/"+what, 2<<20)
	}
	a.put("src/empty", nil)
	b.Stop()
	tr := a.send(b, job{deleteSource: true})
	a.until(tr, "waiting", func(t transfer.Transfer) bool { return t.ErrorMessage != "" })
	for what, rewrite := range rewrites() {
		rewrite(a, "src/"+what)
	}
	a.append("src/empty", 1000)
	b.start()
	got := a.wait(tr)
	complete(t, a, b, tr)
	left := a.left()
	if got.SourcesDeleted != got.TotalFiles-int64(len(left)) || got.SourcesKept != int64(len(left)) || slices.Contains(left, "empty") || len(left) > 1 {
		t.Errorf("left are %q; %d removed, %d kept: %s", left, got.SourcesDeleted, got.SourcesKept, got.SourcesMessage)
	}
}

// What is reached by a link stays.
func TestSourcesBehindLinksStay(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/file", 100)
	a.write("other/in", 100)
	a.must(os.Symlink(a.path("other/in"), a.path("src/link")))
	a.must(os.Symlink("../other", a.path("src/linked")))
	tr := a.send(b, job{deleteSource: true})
	got := a.wait(tr)
	complete(t, a, b, tr)
	if _, err := os.Stat(a.path("other/in")); err != nil || got.SourcesDeleted != 1 || got.SourcesKept != 2 || !strings.Contains(got.SourcesMessage, "by a link") {
		t.Errorf("%v; %d removed, %d kept: %s", err, got.SourcesDeleted, got.SourcesKept, got.SourcesMessage)
	}
}

// Where one file fails, or the transfer is cancelled, nothing goes.
func TestSourcesStayWhereTheTransferFails(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/good", 100)
	a.write("src/taken", 100)
	b.put("src/taken/in the way", []byte("x"))
	tr := a.send(b, job{deleteSource: true, onError: "continue"})
	a.removes(tr, transfer.StatusError, []string{"good", "taken"}, 0, "")
	b.Stop()
	tr = a.send(b, job{deleteSource: true})
	transfertest.Must[transfer.Transfer](t)(a.engine.CancelTransfer(t.Context(), by("bob"), tr.TransferID))
	a.removes(tr, transfer.StatusCancelled, []string{"good", "taken"}, 0, "")
	a.must(a.engine.DeleteTransfer(t.Context(), by("bob"), tr.TransferID, false))
}

// Of a user who is disabled meanwhile nothing goes.
func TestSourcesOfADisabledUserStay(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/file", 100)
	disabled := true
	b.meanwhile(func() {
		_, err := a.Accounts.Update(context.Background(), "bob", account.Change{Disabled: &disabled})
		if err != nil {
			t.Error(err)
		}
	})
	tr := a.send(b, job{deleteSource: true})
	got := a.wait(tr)
	if _, err := os.Stat(a.path("src/file")); err != nil || got.SourcesDeleted != 0 {
		t.Errorf("%v; it is %s, %d were removed", err, got.Status, got.SourcesDeleted)
	}
	if got.Status == transfer.StatusComplete && !strings.Contains(got.SourcesMessage, "disabled") {
		t.Errorf("it says %q", got.SourcesMessage)
	}
}

// A server that sends to itself keeps what it has already: that may be the source.
func TestSourcesStayThatAreTheTarget(t *testing.T) {
	for _, conflict := range []string{"changed", "overwrite", "skip"} {
		a := newSite(t)
		a.write("src/file", 100)
		a.put("src/empty", nil)
		want := tree(t, a.path("src"))
		tr := a.send(a, job{conflict: conflict, deleteSource: true})
		if got := a.wait(tr); got.Status != transfer.StatusComplete || got.SourcesDeleted != 0 || got.SourcesKept != 2 {
			t.Errorf("%s: it is %s, %d were removed and %d kept", conflict, got.Status, got.SourcesDeleted, got.SourcesKept)
		}
		if got := tree(t, a.path("src")); len(got) != len(want) || got["file"] != want["file"] || got["empty"] != want["empty"] {
			t.Errorf("%s: there are %v, want %v", conflict, got, want)
		}
	}
}

// After a restart of the sender goes what it knows to be as it was read.
func TestSourcesAreRemovedAfterARestart(t *testing.T) {
	a, b := newSite(t), newSite(t)
	const large = 20 << 20
	a.write("src/a small", 1000)
	a.write("src/b large", large)
	want := tree(t, a.path("src"))
	address, reached := stalled(t, b.Address, large/2)
	tr := a.send(b, job{to: address, deleteSource: true})
	<-reached
	a.Stop()
	a.start()
	got := a.wait(tr)
	complete(t, a, b, tr)
	if there := tree(t, b.path("src")); !maps.Equal(want, there) {
		t.Errorf("arrived are %v, want %v", there, want)
	}
	if left := a.left(); len(left) != 0 || got.SourcesDeleted != 2 {
		t.Errorf("left are %q, %d removed: %s", left, got.SourcesDeleted, got.SourcesMessage)
	}
}

func TestADryRunRemovesNothing(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/file", 100)
	b.put("src/file", []byte("x"))
	tr := a.send(b, job{deleteSource: true})
	a.removes(tr, transfer.StatusComplete, nil, 1, "")
	a.write("src/file", 100)
	d, _, err := a.engine.CreateDestination(t.Context(), by("bob"), transfer.DestinationParams{Address: b.Address})
	a.must(err)
	x, err := a.engine.DryRun(t.Context(), by("bob"), transfer.Params{
		ManifestID: a.manifest(map[string]string{"/src": "/src"}), DestinationID: d.DestinationID, Username: "bob", DeleteSource: true, Conflict: "changed",
	}, transfer.DryRunParams{DryRun: true}, transfertest.BobsPassword)
	a.must(err)
	plan, err := a.sender.DryRun(t.Context(), x, transfertest.BobsPassword, time.Minute)
	a.must(err)
	if !x.Checksum || plan.UnchangedFiles != 1 || len(a.left()) != 1 {
		t.Errorf("checksum %v, %d files unchanged, left %q", x.Checksum, plan.UnchangedFiles, a.left())
	}
}

// A file that has changed just now may change again without showing it.
func TestStateOfAFileThatHasJustChangedIsNotTrusted(t *testing.T) {
	s := newSite(t)
	s.put("file", nil)
	state := func() (transfer.FileState, bool) {
		fi, err := os.Stat(s.path("file"))
		s.must(err)
		return transfer.StateBeforeReading(fi)
	}
	was, ok := state()
	began := time.Now()
	for ; !ok && time.Since(began) < patience; was, ok = state() {
		runtime.Gosched()
	}
	if age := time.Since(time.Unix(0, was.ChangeTime)); !ok || age < 20*time.Millisecond {
		t.Errorf("a state is trusted (%v) that is %v old", ok, age)
	}
}
