package store

import (
	"context"
	"fmt"
	"testing"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// BenchmarkReads measures what the usual reading commands ask of the database.
func BenchmarkReads(b *testing.B) {
	db, err := Open(context.Background(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	s := db.Transfers()
	d := &transfer.Destination{
		DestinationID: api.NewID(), Owner: "alice", DestinationAddress: "site-b.example", DestinationPort: 8887, DestinationIP: "site-b.example",
		CreateTime: api.Now(), UserData: map[string]string{"site": "b", "contact": "the night shift"},
	}
	err = s.Update(b.Context(), func(tx transfer.Tx) error {
		for i := range 200 {
			if err := tx.SaveTransfer(&transfer.Transfer{
				Params: transfer.Params{
					ManifestID: api.NewID(), DestinationID: d.DestinationID, DestinationPath: "/incoming/reels", Username: "bob",
					UserData: map[string]string{"job": fmt.Sprint(i)},
				},
				TransferID: api.NewID(), DestinationAddress: "site-b.example", DestinationPort: 8887,
				Status: transfer.StatusComplete, RequestTime: api.Now(), StartTime: api.Now(), EndTime: api.Now(), Owner: "alice",
				RequestID: api.NewID(),
			}); err != nil {
				return err
			}
		}
		return tx.SaveDestination(d)
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("page", func(b *testing.B) {
		for b.Loop() {
			if page, err := s.Transfers(b.Context(), transfer.Page{Owner: "alice", Limit: 101}); err != nil || len(page) != 101 {
				b.Fatal(len(page), err)
			}
		}
	})
	b.Run("destination", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Destination(b.Context(), d.DestinationID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("destinationAt", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.DestinationAt(b.Context(), "alice", d.DestinationAddress, 8887); err != nil {
				b.Fatal(err)
			}
		}
	})
}
