//go:build unix

package receiver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/account"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/receiver"
	"jetstream/internal/transfer/wire"
	"jetstream/internal/transfertest"
)

// childState is the environment variable with the state directory of a child process that
// finishes a transfer.
const childState = "JETSTREAM_TEST_STATE"

// crashFiles is the number of files: two batches and a part of a third.
const crashFiles = 1200

// crashAt are the files at whose steps a process is killed: the first and the
// last one, and those at the boundary of a batch.
var crashAt = []string{"0000", "0511", "0512", "1199"}

// reaper kills its own process at each step once.
type reaper struct{ *transfertest.Reaper }

// observe is called at the steps on disk.
func (r reaper) observe(step, name string) {
	switch step {
	case "sweep":
		name = "staging"
	case "sync", "settle", "plan":
	case "remove", "gone":
		if !slices.Contains(removedAt, path.Base(name)) {
			return
		}
	default:
		if !slices.ContainsFunc(crashAt, func(n string) bool { return strings.HasPrefix(name, "d/"+n) }) {
			return
		}
	}
	r.At(step + " " + name)
}

// dying is a store that kills the process in and after each transaction that
// changes something.
type dying struct {
	transfer.RecvStore
	reaper
	swept context.CancelFunc
}

func (d *dying) Update(ctx context.Context, fn func(transfer.RecvTx) error) error {
	tx := &dyingTx{}
	err := d.RecvStore.Update(ctx, func(inner transfer.RecvTx) error {
		tx.RecvTx = inner
		err := fn(tx)
		if tx.saves != "" {
			d.At("within " + tx.saves)
		}
		return err
	})
	if tx.saves != "" && err == nil {
		d.At("after " + tx.saves)
	}
	if tx.saves == "swept" && err == nil {
		d.swept()
	}
	return err
}

// dyingTx records what a transaction saves.
type dyingTx struct {
	transfer.RecvTx
	saves string
}

func (t *dyingTx) SaveRecvTransfer(r *transfer.RecvTransfer) error {
	switch {
	case r.Processing:
		t.saves = "a transfer that goes on"
	case r.Staging == "":
		t.saves = "swept"
	default:
		t.saves = string(r.Status)
	}
	return t.RecvTx.SaveRecvTransfer(r)
}

func (t *dyingTx) SaveRecvFiles(key, id string, files []transfer.RecvFile) error {
	if len(files) == 0 {
		return nil
	}
	t.saves = "names from " + files[0].Name
	if files[0].Placed {
		t.saves = "placed from " + files[0].Name
	}
	return t.RecvTx.SaveRecvFiles(key, id, files)
}

func (t *dyingTx) PlaceRecvFiles(key, id string, first, last int64) error {
	t.saves = fmt.Sprintf("placed from %d", first)
	return t.RecvTx.PlaceRecvFiles(key, id, first, last)
}

// child finishes the transfers of a state directory, or is killed while it
// does.
func child() int {
	if err := finishAndDie(os.Getenv(childState)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func finishAndDie(state string) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), 3*time.Minute, errors.New("the transfer was not finished in time"))
	defer cancel()
	db, err := store.Open(ctx, state)
	if err != nil {
		return err
	}
	defer db.Close()
	id, err := wire.LoadIdentity(state)
	if err != nil {
		return err
	}
	left, err := db.Received().Receiving(ctx)
	if err != nil || len(left) == 0 { // the one before was killed after the last step
		return err
	}
	own, err := transfertest.NewReaper()
	if err != nil {
		return err
	}
	reaper := reaper{own}
	serve, stop := context.WithCancel(ctx)
	defer stop()
	r, err := receiver.New(receiver.Options{
		Store: &dying{db.Received(), reaper, stop}, Clients: db.Received(), Emitter: transfertest.Emitter{},
		Accounts: account.New(db.Accounts(), account.Options{}), Identity: id,
	})
	if err != nil {
		return err
	}
	r.ObserveSteps(reaper.observe)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return errors.Join(r.Serve(serve, ln), context.Cause(ctx))
}

// halting is a store that fails all updates after a transfer is marked as
// finishing.
type halting struct {
	transfer.RecvStore
	halted atomic.Bool
}

func (h *halting) Update(ctx context.Context, fn func(transfer.RecvTx) error) error {
	if h.halted.Load() {
		return errInjected
	}
	return h.RecvStore.Update(ctx, func(tx transfer.RecvTx) error {
		err := fn(watching{tx, h})
		return err
	})
}

type watching struct {
	transfer.RecvTx
	h *halting
}

func (w watching) SaveRecvTransfer(r *transfer.RecvTransfer) error {
	if r.Finishing {
		w.h.halted.Store(true)
	}
	return w.RecvTx.SaveRecvTransfer(r)
}

// The receiver is killed at each step of finish, and another process continues.
// In the end each file must exist once under its name, and there must be one
// event.
func TestFinishingSurvivesKillAtEachStep(t *testing.T) {
	t.Run("overwrite", func(t *testing.T) {
		killWhileFinishing(t, t.TempDir(), "overwrite", []string{"put %s", "placed %s"})
	})
	t.Run("rename", func(t *testing.T) {
		killWhileFinishing(t, t.TempDir(), "rename", []string{"put %s", "linked %s", "placed %s"})
	})
}

// killWhileFinishing kills processes at each of the steps for the files
// crashAt, and at those of the whole transfer.
func killWhileFinishing(t *testing.T, sandbox, conflict string, steps []string) {
	s := newSite(t, sandbox)
	s.Stop()
	s.restart(func(st transfer.RecvStore) transfer.RecvStore { return &halting{RecvStore: st} })
	p := newSender(t, s)
	p.open.Conflict = conflict
	var entries []wire.Entry
	for i := range crashFiles {
		entries = append(entries, wire.Entry{Name: wire.Name(fmt.Sprintf("/d/%04d", i)), Size: 4, Mode: 0o640, ModTime: 1e18})
	}
	// Directories that get their modes when all is placed, also after a crash.
	entries = append(entries, wire.Entry{Name: "/e", Dir: true, Mode: 0o510, ModTime: 1e18}, wire.Entry{Name: "/e/f", Dir: true, Mode: 0o300, ModTime: 2e18})
	p.begin(entries...)
	for i := range int64(crashFiles) {
		p.data(i, 0, fmt.Appendf(nil, "%04d", i))
	}
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("unavailable", "could not go on")
	s.Stop()
	target := filepath.Join(s.Sandbox, "d")
	if conflict == "rename" { // one name is taken
		if err := os.MkdirAll(target, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(target, "0007"), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for _, n := range crashAt {
		for _, step := range steps {
			want = append(want, fmt.Sprintf(step, "d/"+n))
		}
	}
	saves := []string{"placed from 0", "placed from 512", "placed from 1024"} // the batches
	if conflict == "overwrite" {                                              // the names of files are chosen before
		saves = append(saves, "names from /e")
	} else {
		saves = append(saves, "names from /d/0000", "names from /d/0512", "names from /d/1024")
	}
	for _, s := range saves {
		want = append(want, "within "+s, "after "+s)
	}
	want = append(want, "settle e/f", "settle e", "within placed from /e/f", "after placed from /e/f", "sync e")
	want = append(want, "sync .", "sync d", "within complete", "after complete", "sweep staging", "within swept", "after swept")
	slices.Sort(want)
	got := transfertest.KillAtEachStep(t, transfertest.Child{Env: []string{childState + "=" + s.State}})
	slices.Sort(got)
	t.Logf("%d processes were killed", len(got))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("processes were killed at other steps (-want +got):\n%s", diff)
	}
	s.Start()
	row := s.Received(p.xfer)
	if row.Status != transfer.StatusComplete {
		t.Fatalf("the transfer is %s: %s", row.Status, row.ErrorMessage)
	}
	if n := s.completed(); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	listed := 0
	for f, err := range s.DB.Received().List(t.Context(), transfer.RecvSubject(p.id.PublicKey(), p.xfer)) {
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(f.FilePath); err != nil || "/d/"+string(got) != f.ManifestFile {
			t.Errorf("%s at %s holds %q (%v)", f.ManifestFile, f.FilePath, got, err)
		}
		listed++
	}
	there := crashFiles
	if conflict == "rename" {
		there++
		if got, _ := os.ReadFile(filepath.Join(target, "0007")); string(got) != "old" {
			t.Errorf("the file that was there holds %q", got)
		}
	}
	list, err := os.ReadDir(target)
	if err != nil || listed != crashFiles || len(list) != there {
		t.Errorf("%d files are listed and %d there (%v), want %d and %d", listed, len(list), err, crashFiles, there)
	}
	s.Stop()
	if entries, _ := os.ReadDir(s.Sandbox); len(entries) != 2 {
		t.Errorf("the sandbox holds %v, want only d and e", entries)
	}
	for _, e := range entries[crashFiles:] {
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(s.Sandbox, string(e.Name)), 0o700) })
		info, err := os.Stat(filepath.Join(s.Sandbox, string(e.Name)))
		if err != nil || info.Mode().Perm() != os.FileMode(e.Mode) || info.ModTime().UnixNano() != e.ModTime {
			t.Errorf("%s is %v (%v), want mode %o and time %d", e.Name, info, err, e.Mode, e.ModTime)
		}
	}
}
