package handlers

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// reads counts the objects that are read, by kind.
type reads struct {
	mu sync.Mutex
	by map[string]int
}

func (r *reads) add(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by[kind]++
}

// take returns the counts and resets them.
func (r *reads) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer clear(r.by)
	return fmt.Sprint(r.by)
}

// countingStore is a store that counts the reads of single destinations,
// manifests and transfers.
type countingStore struct {
	transfer.Store
	reads *reads
}

func (s *countingStore) Destination(ctx context.Context, id string) (transfer.Destination, error) {
	s.reads.add("destination")
	return s.Store.Destination(ctx, id)
}

func (s *countingStore) Manifest(ctx context.Context, id string) (transfer.Manifest, error) {
	s.reads.add("manifest")
	return s.Store.Manifest(ctx, id)
}

func (s *countingStore) Transfer(ctx context.Context, id string) (transfer.Transfer, error) {
	s.reads.add("transfer")
	return s.Store.Transfer(ctx, id)
}

func (s *countingStore) Update(ctx context.Context, fn func(transfer.Tx) error) error {
	return s.Store.Update(ctx, func(tx transfer.Tx) error { return fn(&countingTx{tx, s.reads}) })
}

type countingTx struct {
	transfer.Tx
	reads *reads
}

func (tx *countingTx) Destination(id string) (*transfer.Destination, error) {
	tx.reads.add("destination")
	return tx.Tx.Destination(id)
}

func (tx *countingTx) Manifest(id string) (*transfer.Manifest, error) {
	tx.reads.add("manifest")
	return tx.Tx.Manifest(id)
}

func (tx *countingTx) Transfer(id string) (*transfer.Transfer, error) {
	tx.reads.add("transfer")
	return tx.Tx.Transfer(id)
}

func TestEveryCommandReadsItsObjectsOnce(t *testing.T) {
	counting := &countingStore{reads: &reads{by: map[string]int{}}}
	s := newSending(t, func(o *transfer.Options) {
		counting.Store = o.Store
		o.Store = counting
	})
	destination, manifest, id := s.made()
	_, _, second := s.made()
	d, m, x := getDestinationParams{destination}, getManifestParams{manifest}, getTransferParams{id}
	for _, c := range []struct {
		name   string
		params any
		want   string
	}{
		{"send.getDestination", d, "map[destination:1]"},
		{"send.updateDestination", updateDestinationParams{getDestinationParams: d}, "map[destination:1]"},
		{"send.getManifest", m, "map[manifest:1]"},
		{"send.waitForManifest", waitForManifestParams{m, api.WaitParams{}}, "map[manifest:1]"},
		{"send.getManifestFiles", getManifestFilesParams{m, api.ListParams{Limit: 10}, false}, "map[manifest:1]"},
		{"send.getTransfer", x, "map[transfer:1]"},
		{"send.createTransfer", createTransferParams{Params: transfer.Params{ManifestID: manifest, DestinationID: destination, Username: "u"}, Password: "p"}, "map[destination:1 manifest:1]"},
		{"send.cancelTransfer", x, "map[transfer:1]"},
		{"send.waitForTransfer", waitForTransferParams{x, api.WaitParams{}}, "map[transfer:1]"},
		{"send.deleteTransfer", deleteTransferParams{x, false}, "map[transfer:1]"},
		{"send.deleteTransfer", deleteTransferParams{getTransferParams{second}, true}, "map[transfer:1]"},
		{"send.deleteManifest", deleteManifestParams{m, true}, "map[manifest:1 transfer:1]"}, // it cancels the one that was just made
		{"send.deleteDestination", deleteDestinationParams{d, false}, "map[destination:1]"},
	} {
		counting.reads.take()
		s.ok("alice", c.name, c.params)
		if got := counting.reads.take(); got != c.want {
			t.Errorf("%s reads %s, want %s", c.name, got, c.want)
		}
	}
}
