package sender_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// fails waits for the end of a transfer that must fail with a message.
func fails(t *testing.T, a *site, tr transfer.Transfer, want string) {
	t.Helper()
	got := a.wait(tr)
	if got.Status != transfer.StatusError || !strings.Contains(got.ErrorMessage, want) {
		t.Errorf("it ended as %s: %q; want error: ...%s...", got.Status, got.ErrorMessage, want)
	}
}

// failsAtBoth is fails that also checks the receiver.
func failsAtBoth(t *testing.T, a, b *site, tr transfer.Transfer, want string) {
	t.Helper()
	fails(t, a, tr, want)
	a.until(tr, "told", func(t transfer.Transfer) bool { return !t.TellPeer })
	if r := b.received(tr); r.Status != transfer.StatusError || !strings.Contains(r.ErrorMessage, want) {
		t.Errorf("at the receiver it is %s: %q; want error: ...%s...", r.Status, r.ErrorMessage, want)
	}
	if n := len(b.events(tr)); n != 0 {
		t.Errorf("%d events for a failed transfer", n)
	}
	b.noLeftovers()
}

func TestWrongPasswordEndsTheTransfer(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/file", 10)
	tr := a.send(b, job{password: wrongPassword})
	fails(t, a, tr, "user bob or its password was refused by 127.0.0.1")
	list, _, err := b.Receiver.Transfers(t.Context(), transfer.Page{Limit: 10})
	if err != nil || len(list) != 0 {
		t.Errorf("the receiver keeps %v (%v) of a refused login", list, err)
	}
	if logs := a.log.String() + b.log.String(); strings.Contains(logs, wrongPassword) {
		t.Error("a log holds the password")
	}
}

func TestPasswordIsErasedAtTheTrade(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/file", 10)
	tr := a.send(b, job{})
	complete(t, a, b, tr)
	got, err := a.DB.Transfers().Transfer(t.Context(), tr.TransferID)
	if err != nil || len(got.SealedPassword) != 0 || len(got.Ticket) != 32 {
		t.Errorf("sealed password of %d bytes and ticket of %d (%v), want 0 and 32", len(got.SealedPassword), len(got.Ticket), err)
	}
}

func TestPasswordSurvivesARestart(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/file", 10)
	b.Stop()
	tr := a.send(b, job{})
	a.until(tr, "waiting", func(t transfer.Transfer) bool { return t.ErrorMessage != "" })
	a.Stop()
	a.start()
	if got, err := a.DB.Transfers().Transfer(t.Context(), tr.TransferID); err != nil || len(got.SealedPassword) == 0 || len(got.Ticket) != 0 {
		t.Errorf("after the restart: sealed password of %d bytes, ticket of %d (%v)", len(got.SealedPassword), len(got.Ticket), err)
	}
	b.start()
	complete(t, a, b, tr)
}

func TestChangedKeyEndsTheTransfer(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/file", 10)
	complete(t, a, b, a.send(b, job{}))
	b.Stop()
	if err := os.Remove(filepath.Join(b.State, wire.IdentityFile)); err != nil {
		t.Fatal(err)
	}
	b.start()
	refused := a.send(b, job{})
	fails(t, a, refused, "the public key of "+b.Address+" has changed")
	// The operator sets the new key, then none. The failed transfer stays
	// failed.
	for _, key := range []string{b.Identity.PublicKey(), ""} {
		d, err := a.engine.UpdateDestination(t.Context(), by("bob"), refused.DestinationID, transfer.DestinationChange{PublicKey: &key})
		if err != nil || d.DestinationPublicKey != key {
			t.Fatalf("UpdateDestination to %q: %+v (%v)", key, d, err)
		}
		if again := a.send(b, job{}); again.DestinationID != refused.DestinationID {
			t.Fatalf("another destination: %+v", again)
		} else {
			complete(t, a, b, again)
		}
		if d, err = a.engine.LoadDestination(t.Context(), refused.DestinationID); err != nil || d.DestinationPublicKey != b.Identity.PublicKey() || d.LastErrorMessage != "" {
			t.Errorf("after a transfer with the key %q: %+v (%v)", key, d, err)
		}
	}
	if got := a.wait(refused); got.Status != transfer.StatusError {
		t.Errorf("the one that had failed is %s", got.Status)
	}
}

func TestDisabledUserEndsTheTransfer(t *testing.T) {
	a, b := newSite(t), newSite(t)
	tr := halfway(t, a, b)
	yes := true
	if _, err := b.Accounts.Update(t.Context(), "bob", account.Change{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	b.Stop()
	b.start()
	failsAtBoth(t, a, b, tr, "user bob, who authorized the transfer, was disabled")
}

func TestLinksAtTheTargetAreNotWrittenThrough(t *testing.T) {
	a, b := newSite(t), newSite(t)
	outside := t.TempDir()
	a.put("src/file", []byte("new"))
	a.put("src/dir/inside", []byte("new"))
	victim := filepath.Join(outside, "victim")
	if err := os.WriteFile(victim, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(b.Sandbox, "one/src"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(b.Sandbox, "one/src/file")); err != nil {
		t.Fatal(err)
	}
	complete(t, a, b, a.send(b, job{path: "/one"}))
	if got, _ := os.ReadFile(victim); string(got) != "old" {
		t.Errorf("the file behind a link at the target became %q", got)
	}
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "one/src"))

	if err := os.MkdirAll(filepath.Join(b.Sandbox, "two/src"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(b.Sandbox, "two/src/dir")); err != nil {
		t.Fatal(err)
	}
	failsAtBoth(t, a, b, a.send(b, job{path: "/two"}), "outside the sandbox")
	if _, err := os.Stat(filepath.Join(outside, "inside")); err == nil {
		t.Error("a file was written through a link out of the sandbox")
	}

	// A link to another place in the sandbox is followed.
	if err := os.MkdirAll(filepath.Join(b.Sandbox, "three/src"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(b.Sandbox, "elsewhere"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../elsewhere", filepath.Join(b.Sandbox, "three/src/dir")); err != nil {
		t.Fatal(err)
	}
	tr := a.send(b, job{path: "/three"})
	complete(t, a, b, tr)
	if got, _ := os.ReadFile(filepath.Join(b.Sandbox, "elsewhere/inside")); string(got) != "new" {
		t.Errorf("behind a link inside the sandbox there is %q, want new", got)
	}
	for f, err := range b.DB.Received().List(t.Context(), b.events(tr)[0].Subject) {
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(f.FilePath); string(got) != "new" {
			t.Errorf("the list names %s, where there is %q", f.FilePath, got)
		}
	}
}

func TestDirectoryOfTheSameNameFailsTheTransfer(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.put("src/file", []byte("new"))
	if err := os.MkdirAll(filepath.Join(b.Sandbox, "src/file"), 0o755); err != nil {
		t.Fatal(err)
	}
	failsAtBoth(t, a, b, a.send(b, job{}), `a directory is in the way at "/src/file"`)
}

func TestConflictDecidesAboutExistingFiles(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.put("src/kept.txt", []byte("new"))
	a.put("src/other", []byte("new"))
	old := func() {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(b.Sandbox, "src")); err != nil {
			t.Fatal(err)
		}
		b.put("src/kept.txt", []byte("old"))
	}
	check := func(name, want string) {
		t.Helper()
		got, err := os.ReadFile(filepath.Join(b.Sandbox, "src", name))
		if err != nil || string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", name, got, err, want)
		}
	}
	old()
	complete(t, a, b, a.send(b, job{conflict: "overwrite"}))
	check("kept.txt", "new")
	check("other", "new")

	old()
	tr := a.send(b, job{conflict: "rename"})
	complete(t, a, b, tr)
	check("kept.txt", "old")
	check("kept (1).txt", "new")
	for f, err := range b.DB.Received().List(t.Context(), b.events(tr)[0].Subject) {
		if err != nil {
			t.Fatal(err)
		}
		if f.ManifestFile == "/src/kept.txt" && f.Path != "/src/kept (1).txt" {
			t.Errorf("the list names a renamed file %s", f.Path)
		}
	}

	old()
	tr = a.send(b, job{conflict: "skip"})
	if got := a.wait(tr); got.Status != transfer.StatusComplete {
		t.Fatalf("with skip it ended as %s: %s", got.Status, got.ErrorMessage)
	}
	check("kept.txt", "old")
	check("other", "new")
	if r := b.received(tr); r.FilesReceived != 1 || r.BytesReceived != 3 {
		t.Errorf("with skip %d files and %d bytes were received, want 1 and 3", r.FilesReceived, r.BytesReceived)
	}

	old()
	failsAtBoth(t, a, b, a.send(b, job{conflict: "fail"}), `"/src/kept.txt" exists already at the receiver`)
	check("kept.txt", "old")

	old()
	fails(t, a, a.send(b, job{conflict: "fail", onError: "continue"}), `1 of 2 entries failed; the first: "/src/kept.txt" exists`)
	check("kept.txt", "old")
	check("other", "new")
}

func TestRemovedSourceFailsTheTransfer(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/1", 1<<20)
	a.write("src/2", 1000)
	b.Stop()
	again := a.send(b, job{onError: "continue"})
	a.until(again, "waiting", func(t transfer.Transfer) bool { return t.ErrorMessage != "" })
	if err := os.Remove(filepath.Join(a.Sandbox, "src/2")); err != nil {
		t.Fatal(err)
	}
	b.start()
	fails(t, a, again, "1 of 2 entries failed; the first: at the sender: ")
	if !strings.Contains(a.wait(again).ErrorMessage, "/src/2") {
		t.Errorf("the message does not name the path: %s", a.wait(again).ErrorMessage)
	}
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))
}

func TestForbiddenSandboxFailsTheTransfer(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/file", 10)
	parent := filepath.Dir(b.State) // holds the state directory
	if _, err := b.Accounts.Update(t.Context(), "bob", account.Change{Sandbox: &parent}); err != nil {
		t.Fatal(err)
	}
	failsAtBoth(t, a, b, a.send(b, job{}), "state directory")
}

func TestConcurrentTransfersGetDifferentNames(t *testing.T) {
	a, b := newSite(t), newSite(t)
	for _, name := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		a.write("src/"+name, 300_000)
	}
	first, second := a.send(b, job{conflict: "rename"}), a.send(b, job{conflict: "rename"})
	if got := a.wait(second); got.Status != transfer.StatusComplete {
		t.Fatalf("the second ended as %s: %s", got.Status, got.ErrorMessage)
	}
	complete(t, a, b, first)
	seen := map[string]bool{}
	for _, tr := range []transfer.Transfer{first, second} {
		for f, err := range b.DB.Received().List(t.Context(), b.events(tr)[0].Subject) {
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(f.FilePath)
			want, _ := os.ReadFile(filepath.Join(a.Sandbox, f.ManifestFile))
			if err != nil || string(got) != string(want) {
				t.Errorf("%s is not what was sent (%v)", f.FilePath, err)
			}
			seen[f.FilePath] = true
		}
	}
	if len(seen) != 16 {
		t.Errorf("%d files were placed, want 16 with 16 names", len(seen))
	}
}

// With changed and update a second transfer sends what it must and keeps the rest.
func TestOnlyWhatChangedIsSent(t *testing.T) {
	a, b := newSite(t), newSite(t)
	older, newer := time.Unix(1e9, 0), time.Unix(1.5e9, 5e8)
	stamp := func(s *site, name string, when time.Time) {
		t.Helper()
		if err := os.Chtimes(filepath.Join(s.Sandbox, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"same", "longer", "touched", "stale", "absent"} {
		a.put("src/"+name, []byte("new-"+name))
		stamp(a, "src/"+name, newer)
	}
	for conflict, want := range map[string]map[string]string{
		"changed": {"same": "old-same", "longer": "new-longer", "touched": "new-touched", "stale": "new-stale", "absent": "new-absent"},
		"update":  {"same": "old-same", "longer": "old-longer..", "touched": "old-touched", "stale": "new-stale", "absent": "new-absent"},
	} {
		for name, at := range map[string]time.Time{"same": newer, "longer": newer, "touched": newer.Add(time.Hour), "stale": older} {
			text := "old-" + name
			if name == "longer" {
				text += ".."
			}
			b.put(conflict+"/src/"+name, []byte(text))
			stamp(b, conflict+"/src/"+name, at)
		}
		tr := a.send(b, job{conflict: conflict, path: "/" + conflict})
		if got := a.wait(tr); got.Status != transfer.StatusComplete {
			t.Fatalf("with %s it ended as %s: %s", conflict, got.Status, got.ErrorMessage)
		}
		sent := int64(0)
		for name, text := range want {
			got, err := os.ReadFile(filepath.Join(b.Sandbox, conflict, "src", name))
			if err != nil || string(got) != text {
				t.Errorf("with %s, %s holds %q (%v), want %q", conflict, name, got, err, text)
			}
			if strings.HasPrefix(text, "new") {
				sent++
			}
		}
		if r := b.received(tr); r.FilesReceived != sent {
			t.Errorf("with %s %d files were received, want %d", conflict, r.FilesReceived, sent)
		}
	}
}
