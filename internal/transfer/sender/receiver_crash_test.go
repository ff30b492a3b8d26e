//go:build linux || darwin

package sender_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/receiver"
	"jetstream/internal/transfer/wire"
	"jetstream/internal/transfertest"
)

// dyingRecvStore is dyingStore for the receiver.
type dyingRecvStore struct {
	transfer.RecvStore
	*transfertest.Reaper
	swept context.CancelFunc // called when nothing is left to do
}

func (d *dyingRecvStore) Update(ctx context.Context, fn func(transfer.RecvTx) error) error {
	tx := &dyingRecvTx{}
	err := d.RecvStore.Update(ctx, func(inner transfer.RecvTx) error {
		tx.RecvTx = inner
		err := fn(tx)
		if tx.saves != "" && err == nil {
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

// dyingRecvTx records what a transaction saves.
type dyingRecvTx struct {
	transfer.RecvTx
	saves string
}

func (t *dyingRecvTx) SaveRecvTransfer(r *transfer.RecvTransfer) error {
	t.saves = fmt.Sprintf("%s, finishing %v", r.Status, r.Finishing)
	if !r.Processing && r.Staging == "" {
		t.saves = "swept"
	}
	return t.RecvTx.SaveRecvTransfer(r)
}

func (t *dyingRecvTx) SaveRecvFiles(key, id string, files []transfer.RecvFile) error {
	if len(files) > 0 {
		t.saves = fmt.Sprintf("files, placed %v", files[0].Placed)
	}
	return t.RecvTx.SaveRecvFiles(key, id, files)
}

func (t *dyingRecvTx) PlaceRecvFiles(key, id string, first, last int64) error {
	t.saves = "placed"
	return t.RecvTx.PlaceRecvFiles(key, id, first, last)
}

// receiveAndDie receives a transfer and ends it, or is killed while it does.
func receiveAndDie(ctx context.Context, state, transferID string) error {
	db, err := store.Open(ctx, state)
	if err != nil {
		return err
	}
	defer db.Close()
	id, err := wire.LoadIdentity(state)
	if err != nil {
		return err
	}
	row, err := db.Received().RecvTransfer(ctx, transferID, "")
	switch {
	case err == nil && !row.Processing && row.Staging == "": // the one before was killed after the last step
		return nil
	case err != nil && !errors.Is(err, &api.Error{Code: api.CodeNotFound}):
		return err
	}
	reaper, err := transfertest.NewReaper()
	if err != nil {
		return err
	}
	serve, stop := context.WithCancel(ctx)
	defer stop()
	r, err := receiver.New(receiver.Options{
		Store: &dyingRecvStore{db.Received(), reaper, stop}, Clients: db.Received(), Emitter: transfertest.Emitter{},
		Accounts: account.New(db.Accounts(), account.Options{}), Identity: id,
	})
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", os.Getenv(childAddress))
	if err != nil {
		return err
	}
	fmt.Println("listening")
	return errors.Join(r.Serve(serve, ln), context.Cause(ctx))
}

// The receiver is killed at each step of a transfer whose sources are removed, and another
// process goes on. Never is a file gone that is not at the receiver.
func TestRemovalOfSourcesSurvivesKillOfReceiverAtEachStep(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts processes many times")
	}
	a, b := newSite(t), newSite(t)
	for i := range 20 {
		a.put(fmt.Sprintf("src/d/%02d", i), fmt.Appendf(nil, "%02d", i))
	}
	a.write("src/large", 2<<20)
	want := tree(t, a.path("src"))
	delete(want, ".")
	delete(want, "d")
	a.Age()
	b.Stop()
	tr := a.send(b, job{deleteSource: true})
	a.Stop()
	steps := transfertest.KillAtEachStep(t, transfertest.Child{
		Env:     []string{childState + "=" + b.State, childTransfer + "=" + tr.TransferID, childAddress + "=" + b.Address},
		Started: a.start, // anew, so that it does not wait with its next attempt
		Ended: func() {
			gone(t, want, a, b)
			a.Stop()
			gone(t, want, a, b)
		},
	})
	t.Logf("killed at %q", steps)
	for _, step := range []string{"receiving, finishing false", "files, placed false", "receiving, finishing true", "placed", "complete, finishing false", "swept"} {
		for _, when := range []string{"within ", "after "} {
			if !slices.Contains(steps, when+step) {
				t.Errorf("no process was killed %s%s", when, step)
			}
		}
	}
	b.start()
	a.start()
	complete(t, a, b, tr)
	if got, n := a.wait(tr), gone(t, want, a, b); got.SourcesDeleted != n || n != int64(len(want)) {
		t.Errorf("of %d files %d are gone, and it says %d: %s", len(want), n, got.SourcesDeleted, got.SourcesMessage)
	}
}

// The sender is killed at each step of a mirror, and another process goes on. Nothing is
// ever gone at the receiver but what the source has not.
func TestMirrorSurvivesKillOfSenderAtEachStep(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts processes many times")
	}
	a, b := newSite(t), newSite(t)
	a.have("src/new", "src/d/changed", "src/same")
	b.have("src/d/changed", "src/same", "src/d/old/stale", "src/stale", "beside", "src 2/kept")
	b.put("src/d/changed", []byte("older"))
	b.Age()
	m := mirror{}
	b.Stop()
	tr := transfertest.Must[transfer.Transfer](t)(a.engine.CreateTransfer(t.Context(), by("bob"), m.params(a, b), m.secret()))
	a.Stop()
	b.start()
	steps := transfertest.KillAtEachStep(t, transfertest.Child{
		Env: []string{childState + "=" + a.State, childTransfer + "=" + tr.TransferID},
		Ended: func() {
			for _, name := range []string{"src/d/changed", "src/same", "beside", "src 2/kept"} {
				if _, err := os.Stat(b.path(name)); err != nil {
					t.Errorf("LOST: %v", err)
				}
			}
		},
	})
	t.Logf("killed at %q", steps)
	for _, step := range []string{"active", "complete, next 0, to be removed false"} {
		for _, when := range []string{"within ", "after "} {
			if !slices.Contains(steps, when+step) {
				t.Errorf("no process was killed %s%s", when, step)
			}
		}
	}
	a.start()
	complete(t, a, b, tr)
	if got := a.wait(tr); got.RemovedFiles != 2 {
		t.Errorf("%d files were removed, want 2", got.RemovedFiles)
	}
	b.holds("src/new", "src/d/changed", "src/same", "beside", "src 2/kept")
}
