//go:build linux

package main

import (
	"context"
	"io"
	"strconv"
	"strings"
	"testing"

	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
)

// BenchmarkTransfersList tells how long jetstream transfers takes, without the start of
// the process, where a server keeps 100,000 transfers, half of them sent and half
// received: the list, and finding one by the end of its id.
func BenchmarkTransfersList(b *testing.B) {
	const each = 50_000
	l := newLive(b)
	keepSent(b, l.state, each, "alice", "root")
	id := keepArrived(b, l.state, each, "alice", "root")
	l.start()
	for _, user := range []string{"alice", "root"} {
		env := map[string]string{
			"JETSTREAM_API_HOST": l.host, "JETSTREAM_API_PORT": strconv.Itoa(l.apiPort), "JETSTREAM_API_USER": user, "JETSTREAM_API_PASSWORD": testPassword,
		}
		for name, args := range map[string][]string{
			"list": {"transfers"}, "error": {"transfers", "list", "--status", "error"}, "find": {"transfers", "watch", shortID(id)},
		} {
			b.Run(user+"/"+name, func(b *testing.B) {
				for b.Loop() {
					var said strings.Builder
					if code := run(b.Context(), args, func(name string) string { return env[name] }, strings.NewReader(""), io.Discard, &said); code != 0 {
						b.Fatalf("exit %d: %s", code, said.String())
					}
				}
			})
		}
	}
}

// keepArrived puts complete received transfers into a database, which belong to the
// users in turns. It returns the id of the oldest.
func keepArrived(b *testing.B, state string, n int, users ...string) (id string) {
	b.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, state)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for from := 0; from < n; from += 1000 {
		err := db.Received().Update(ctx, func(tx transfer.RecvTx) error {
			for i := from; i < min(from+1000, n); i++ {
				t := &transfer.RecvTransfer{
					TransferID: api.NewID(), SourcePublicKey: "bench", Username: users[i%len(users)], DestinationPath: "/incoming/reels",
					Status: transfer.StatusComplete, TotalFiles: 120, TotalSize: 12 << 30, FilesReceived: 120, BytesReceived: 12 << 30,
					SourceIP: "192.0.2.1", SourcePort: 50000, StartTime: api.Now(), LastRecvTime: api.Now(), EndTime: api.Now(), Conflict: "overwrite", OnError: "stop",
				}
				if id == "" {
					id = t.TransferID
				}
				if err := tx.SaveRecvTransfer(t); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return id
}
