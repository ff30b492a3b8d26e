package transfer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkWalk measures a manifest from its creation until it is complete, of
// one tree with 1000 files in each directory.
func BenchmarkWalk(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint("files=", n), func(b *testing.B) {
			bench := newBench(b)
			for i := range n {
				p := filepath.Join(bench.box, fmt.Sprintf("tree/%03d/file-%06d.dat", i/1000, i))
				if i%1000 == 0 {
					bench.must(os.MkdirAll(filepath.Dir(p), 0o755))
				}
				bench.must(os.WriteFile(p, nil, 0o644))
			}
			b.ReportAllocs()
			for b.Loop() {
				if m := bench.complete(map[string]string{"/tree": "/t"}); *m.TotalFiles != int64(n) {
					b.Fatal(*m.TotalFiles)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/file")
		})
	}
}

// BenchmarkWalkList measures a manifest of a list of files, 100 in each directory.
func BenchmarkWalkList(b *testing.B) {
	const n = 10_000
	bench := newBench(b)
	list := map[string]string{}
	for i := range n {
		name := fmt.Sprintf("/a/b/c/d/%03d/file-%06d.dat", i/100, i)
		p := filepath.Join(bench.box, name)
		if i%100 == 0 {
			bench.must(os.MkdirAll(filepath.Dir(p), 0o755))
		}
		bench.must(os.WriteFile(p, nil, 0o644))
		list[name] = name
	}
	b.ReportAllocs()
	for b.Loop() {
		if m := bench.complete(list); *m.TotalFiles != n {
			b.Fatal(*m.TotalFiles)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/file")
}
