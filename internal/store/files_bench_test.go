package store

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"jetstream/internal/transfer"
)

// benchFiles is how many entries the file lists of these benchmarks have.
const benchFiles = 10_000

func benchDB(b *testing.B) *DB {
	b.Helper()
	db, err := Open(context.Background(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

func benchRecvFiles() []transfer.RecvFile {
	files := make([]transfer.RecvFile, benchFiles)
	for i := range files {
		files[i] = transfer.RecvFile{Index: int64(i), Name: fmt.Sprintf("/tree/%03d/file-%06d.dat", i/1000, i), Size: 16 << 10, Mode: 0o644, ModTime: 1_700_000_000_000_000_000}
	}
	return files
}

// saveRecv saves files as the receiver does, in batches.
func saveRecv(ctx context.Context, v *Received, id string, files []transfer.RecvFile, batch int) error {
	for len(files) > 0 {
		n := min(batch, len(files))
		if err := v.Update(ctx, func(tx transfer.RecvTx) error { return tx.SaveRecvFiles("key", id, files[:n]) }); err != nil {
			return err
		}
		files = files[n:]
	}
	return nil
}

// BenchmarkSaveRecvFiles measures what the entries of one received transfer
// cost the database: each is saved when it has arrived and when it has got its
// final name, and marked when it is placed.
func BenchmarkSaveRecvFiles(b *testing.B) {
	for _, batch := range []int{64, 1000} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			db := benchDB(b)
			v := db.Received()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				b.StopTimer()
				files, id := benchRecvFiles(), fmt.Sprint(n)
				n++
				if err := v.Update(b.Context(), func(tx transfer.RecvTx) error { return tx.SaveRecvTransfer(recvRow("key", id, "bob")) }); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				err := saveRecv(b.Context(), v, id, files, batch)
				for i := range files {
					f := &files[i]
					f.Final, f.Real, f.Fold = "/in"+f.Name, "in"+f.Name, int64(i+1)*0x9e3779b97f4a7c1
				}
				err = errors.Join(err, saveRecv(b.Context(), v, id, files, batch))
				for from := int64(0); from < benchFiles; from += int64(batch) {
					err = errors.Join(err, v.Update(b.Context(), func(tx transfer.RecvTx) error {
						return tx.PlaceRecvFiles("key", id, from, from+int64(batch)-1)
					}))
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*benchFiles), "µs/file")
		})
	}
}

func BenchmarkRecvFiles(b *testing.B) {
	db := benchDB(b)
	v := db.Received()
	if err := v.Update(b.Context(), func(tx transfer.RecvTx) error {
		return errors.Join(tx.SaveRecvTransfer(recvRow("key", "id", "bob")), tx.SaveRecvFiles("key", "id", benchRecvFiles()))
	}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range v.RecvFiles(b.Context(), "key", "id", 0) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != benchFiles {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*benchFiles), "µs/file")
}

func benchManifestFiles() []transfer.ManifestFile {
	files := make([]transfer.ManifestFile, benchFiles)
	for i := range files {
		name := fmt.Sprintf("/tree/%03d/file-%06d.dat", i/1000, i)
		files[i] = transfer.ManifestFile{Index: int64(i), Source: "/src" + name, Name: name, Size: 16 << 10, Mode: 0o644, ModTime: 1_700_000_000_000_000_000}
	}
	return files
}

func addManifest(ctx context.Context, s *Transfers, id string, files []transfer.ManifestFile) error {
	if err := s.Update(ctx, func(tx transfer.Tx) error {
		return tx.SaveManifest(&transfer.Manifest{ManifestID: id, Status: transfer.StatusPending})
	}); err != nil {
		return err
	}
	for len(files) > 0 {
		n := min(1000, len(files))
		if err := s.Update(ctx, func(tx transfer.Tx) error { return addFiles(tx, id, files[:n]) }); err != nil {
			return err
		}
		files = files[n:]
	}
	return nil
}

func BenchmarkAddManifestFiles(b *testing.B) {
	db := benchDB(b)
	files := benchManifestFiles()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := addManifest(b.Context(), db.Transfers(), fmt.Sprint(n), files); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*benchFiles), "µs/file")
}

func BenchmarkManifestFiles(b *testing.B) {
	db := benchDB(b)
	s := db.Transfers()
	if err := addManifest(b.Context(), s, "m", benchManifestFiles()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for from := 0; from < benchFiles; from += 1000 {
			if page, err := s.ManifestFiles(b.Context(), "m", int64(from), 1000); err != nil || len(page) != 1000 {
				b.Fatal(len(page), err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*benchFiles), "µs/file")
}
