package sender_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfertest"
)

// A transfer is cancelled at once, by either end, while digests of files are being
// computed that take minutes.
func TestComparingEndsWithTheTransfer(t *testing.T) {
	a, b := newSite(t), newSite(t)
	for _, s := range []*site{a, b} {
		s.put("src/huge", nil)
		if err := os.Truncate(filepath.Join(s.Sandbox, "src/huge"), 1<<43); err != nil {
			t.Skip(err)
		}
	}
	for name, cancel := range map[string]func(id string) error{
		"at the sender": func(id string) error { _, err := a.engine.CancelTransfer(t.Context(), by("bob"), id); return err },
		"at the receiver": func(id string) error {
			_, err := b.Receiver.Cancel(t.Context(), api.Caller{Superuser: true}, id)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := a.send(b, job{conflict: "changed", checksum: true})
			untilOpen(t, true, a, b)
			if err := cancel(tr.TransferID); err != nil {
				t.Fatal(err)
			}
			if got := a.wait(tr); got.Status != transfer.StatusCancelled {
				t.Errorf("it ended as %s: %s", got.Status, got.ErrorMessage)
			}
			untilOpen(t, false, a, b)
		})
	}
}

// A dry run ends when its caller goes away, at both ends.
func TestComparingEndsWithTheDryRun(t *testing.T) {
	a, b := newSite(t), newSite(t)
	for _, s := range []*site{a, b} {
		s.put("src/huge", nil)
		if err := os.Truncate(filepath.Join(s.Sandbox, "src/huge"), 1<<43); err != nil {
			t.Skip(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	p := transfer.DryRunParams{DryRun: true, Address: &b.Address}
	tr, err := a.engine.DryRun(ctx, by("bob"), transfer.Params{
		ManifestID: a.manifest(map[string]string{"/src": "/src"}), Username: "bob", Conflict: "changed", Checksum: true,
	}, p, transfertest.BobsPassword)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := a.sender.DryRun(ctx, tr, transfertest.BobsPassword, patience)
		ended <- err
	}()
	untilOpen(t, true, a, b)
	cancel()
	if err := <-ended; err == nil {
		t.Error("it has a plan")
	}
	untilOpen(t, false, a, b)
}

// untilOpen waits until this process reads the file huge of all sites, or of none.
func untilOpen(t *testing.T, want bool, sites ...*site) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-look.C {
		open := map[string]bool{}
		files, err := filepath.Glob("/proc/self/fd/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			name, _ := os.Readlink(f)
			open[name] = true
		}
		as := 0
		for _, s := range sites {
			if open[filepath.Join(s.Sandbox, "src/huge")] == want {
				as++
			}
		}
		if as == len(sites) {
			return
		}
	}
	t.Fatalf("the files were not opened and closed as they should (want open: %v)", want)
}
