package sender_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"jetstream/internal/transfer"
)

// BenchmarkLoopback measures whole transfers over TLS on loopback, with sender
// and receiver in one process.
func BenchmarkLoopback(b *testing.B) {
	b.Run("big", func(b *testing.B) { loopback(b, 1, 512<<20) })
	b.Run("small", func(b *testing.B) { loopback(b, 5000, 16<<10) })
}

// BenchmarkUnchanged measures sending a tree again that the receiver has: manifest,
// transfer and records.
func BenchmarkUnchanged(b *testing.B) {
	const files = 10_000
	from, to := newSite(b), newSite(b)
	for i := range files {
		from.write(fmt.Sprintf("src/%03d/%d", i/100, i), 2000)
	}
	send := func() {
		tr := from.send(to, job{conflict: transfer.ConflictChanged})
		if got := from.wait(tr); got.Status != transfer.StatusComplete {
			b.Fatalf("it ended as %s: %s", got.Status, got.ErrorMessage)
		}
	}
	send()
	for b.Loop() {
		send()
	}
	b.ReportMetric(float64(files)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

func loopback(b *testing.B, files, size int) {
	from, to := newSite(b), newSite(b)
	for i := range files {
		from.write(fmt.Sprintf("src/%02d/%d", i%20, i), size)
	}
	b.SetBytes(int64(files) * int64(size))
	for b.Loop() {
		tr := from.send(to, job{})
		if got := from.wait(tr); got.Status != transfer.StatusComplete {
			b.Fatalf("it ended as %s: %s", got.Status, got.ErrorMessage)
		}
		b.StopTimer()
		if err := os.RemoveAll(filepath.Join(to.Sandbox, "src")); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(files)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}
