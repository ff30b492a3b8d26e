//go:build linux || darwin

package sender_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"jetstream/internal/account"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/sender"
	"jetstream/internal/transfer/wire"
	"jetstream/internal/transfertest"
)

// The environment variables of a child process that sends a transfer, or with
// childAddress receives it there.
const (
	childState    = "JETSTREAM_TEST_STATE"
	childTransfer = "JETSTREAM_TEST_TRANSFER"
	childAddress  = "JETSTREAM_TEST_ADDRESS"
)

// dyingStore kills its process in and after each transaction that changes something.
type dyingStore struct {
	transfer.Store
	*transfertest.Reaper
}

func (d *dyingStore) Update(ctx context.Context, fn func(transfer.Tx) error) error {
	return d.die(ctx, d.Store.Update, fn)
}

func (d *dyingStore) UpdateNoSync(ctx context.Context, fn func(transfer.Tx) error) error {
	return d.die(ctx, d.Store.UpdateNoSync, fn)
}

func (d *dyingStore) die(ctx context.Context, update func(context.Context, func(transfer.Tx) error) error, fn func(transfer.Tx) error) error {
	tx := &dyingTx{}
	err := update(ctx, func(inner transfer.Tx) error {
		tx.Tx = inner
		err := fn(tx)
		if tx.saves != "" && err == nil {
			d.At("within " + tx.saves)
		}
		return err
	})
	if tx.saves != "" && err == nil {
		d.At("after " + tx.saves)
	}
	return err
}

// dyingTx records what a transaction saves.
type dyingTx struct {
	transfer.Tx
	saves string
}

func (t *dyingTx) SaveTransfer(x *transfer.Transfer) error {
	t.saves = string(x.Status)
	if !x.Processing {
		t.saves = fmt.Sprintf("%s, next %d, to be removed %v", x.Status, x.SourcesNext, x.DeletingSources)
	}
	return t.Tx.SaveTransfer(x)
}

func (t *dyingTx) SaveSentSources(seq int64, list []transfer.SentSource) error {
	t.saves = "sent"
	return t.Tx.SaveSentSources(seq, list)
}

func (t *dyingTx) DropSentSources(seq, from int64, limit int) (bool, error) {
	t.saves = "dropped"
	return t.Tx.DropSentSources(seq, from, limit)
}

// child sends the transfer and removes its sources, or is killed while it does.
func child() int {
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errors.New("the transfer has not ended in time"))
	defer cancel()
	do := sendAndDie
	if os.Getenv(childAddress) != "" {
		do = receiveAndDie
	}
	if err := do(ctx, os.Getenv(childState), os.Getenv(childTransfer)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func sendAndDie(ctx context.Context, state, transferID string) error {
	db, err := store.Open(ctx, state)
	if err != nil {
		return err
	}
	defer db.Close()
	id, err := wire.LoadIdentity(state)
	if err != nil {
		return err
	}
	reaper, err := transfertest.NewReaper()
	if err != nil {
		return err
	}
	engine, err := transfer.New(transfer.Options{
		Store: &dyingStore{db.Transfers(), reaper}, Emitter: transfertest.Emitter{},
		Accounts: account.New(db.Accounts(), account.Options{}), SealKey: id.SealKey(),
	})
	if err != nil {
		return err
	}
	s, err := sender.New(sender.Options{Engine: engine, Identity: id})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return engine.Serve(ctx) })
	g.Go(func() error { return s.Serve(ctx) })
	g.Go(func() error {
		defer stop()
		t, err := engine.WaitForTransfer(ctx, by("bob"), transferID, patience)
		if err == nil && (t.Processing || t.DeletingSources) {
			err = errors.New("it has not ended")
		}
		return err
	})
	return g.Wait()
}

// gone checks that the files that are missing at the sender are at the receiver, as they
// were, and returns how many are missing.
func gone(t *testing.T, want map[string]string, a, b *site) (n int64) {
	t.Helper()
	here, there := tree(t, a.path("src")), map[string]string(nil)
	for name, file := range want {
		if _, kept := here[name]; kept {
			continue
		}
		if n++; there == nil {
			there = tree(t, b.path("src"))
		}
		if there[name] != file {
			t.Fatalf("LOST: %s is gone, and the receiver has %q, not %q", name, there[name], file)
		}
	}
	return n
}

// The sender is killed at each step, and another process goes on. Never is a file gone
// that is not at the receiver.
func TestRemovalOfSourcesSurvivesKillAtEachStep(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts processes many times")
	}
	a, b := newSite(t), newSite(t)
	const small = 1200 // some batches
	for i := range small {
		a.put(fmt.Sprintf("src/d/%04d", i), fmt.Appendf(nil, "%04d", i))
	}
	a.put("src/d/empty", nil)
	a.write("src/large", 5<<20)
	want := tree(t, a.path("src"))
	delete(want, ".")
	delete(want, "d")
	b.Stop()
	tr := a.send(b, job{deleteSource: true})
	a.Stop()
	b.start()
	last := int64(0)
	steps := transfertest.KillAtEachStep(t, transfertest.Child{
		Env: []string{childState + "=" + a.State, childTransfer + "=" + tr.TransferID}, Ended: func() { last = gone(t, want, a, b) },
	})
	t.Logf("killed at %q; %d of %d files were removed", steps, last, len(want))
	for _, step := range []string{"active", "sent", "dropped", "complete, next 0, to be removed true", "complete, next 500, to be removed true",
		"complete, next 1000, to be removed true", "complete, next 1204, to be removed false"} {
		for _, when := range []string{"within ", "after "} {
			if !slices.Contains(steps, when+step) {
				t.Errorf("no process was killed %s%s", when, step)
			}
		}
	}
	a.start()
	got := a.wait(tr)
	if got.Status != transfer.StatusComplete || got.SourcesDeleted != last || got.SourcesDeleted+got.SourcesKept != int64(len(want)) {
		t.Errorf("it is %s, %d of %d files are gone, %d were removed and %d kept: %s",
			got.Status, last, len(want), got.SourcesDeleted, got.SourcesKept, got.SourcesMessage)
	}
	if got.SourcesKept > 0 && !strings.Contains(got.SourcesMessage, "before this server was restarted") {
		t.Errorf("it says %q", got.SourcesMessage)
	}
	complete(t, a, b, tr)
}
