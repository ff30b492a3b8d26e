//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// dataset is a directory of files that are sent.
type dataset struct {
	name  string // of the directory, and in -case
	title string
	files int
	size  int64 // of each file
	small bool  // its speed is told in files a second
	again bool  // it is at the target before a run, which finds nothing to send
}

func (d dataset) bytes() int64 { return int64(d.files) * d.size }

// datasets are what the parts send; quick ones are for trying this program.
func datasets(quick bool) (loopback, durable, wan []dataset) {
	if quick {
		many := dataset{"small", "500 files of 16 KiB", 500, 16 * kib, true, false}
		return []dataset{{"big", "one file of 64 MiB", 1, 64 * mib, false, false}, {"medium", "10 files of 2 MiB", 10, 2 * mib, false, false}, many, unchanged(many)},
			[]dataset{many},
			[]dataset{{"wanbig", "one file of 20 MiB", 1, 20 * mib, false, false}, {"wansmall", "200 files of 16 KiB", 200, 16 * kib, true, false}}
	}
	many := dataset{"small", "10,000 files of 16 KiB", 10000, 16 * kib, true, false}
	return []dataset{{"big", "one file of 2 GiB", 1, 2 * gib, false, false}, {"medium", "100 files of 10 MiB", 100, 10 * mib, false, false}, many, unchanged(many)},
		[]dataset{many},
		[]dataset{{"wanbig", "one file of 200 MiB", 1, 200 * mib, false, false}, {"wansmall", "2,000 files of 16 KiB", 2000, 16 * kib, true, false}}
}

// unchanged is d sent once more.
func unchanged(d dataset) dataset {
	d.name, d.title, d.again = "unchanged", d.title+", unchanged since they were sent", true
	return d
}

// create writes the files below dir, unless they are there: random bytes, 100
// files to a directory.
func (d dataset) create(dir string) error {
	root := filepath.Join(dir, d.name)
	if _, err := os.Stat(root); err == nil {
		return nil
	}
	if err := checkSpace(dir, 2*d.bytes()); err != nil {
		return err
	}
	random := rand.NewChaCha8([32]byte{byte(d.files), byte(d.size >> 10)})
	buf := make([]byte, min(d.size, mib))
	for i := range d.files {
		sub := root
		if d.files > 100 {
			sub = filepath.Join(root, fmt.Sprintf("%03d", i/100))
		}
		if err := os.MkdirAll(sub, 0o755); err != nil { //nolint:gosec // a server that runs as nobody reads it
			return err
		}
		if err := writeRandom(filepath.Join(sub, fmt.Sprintf("%05d.bin", i)), d.size, buf, random); err != nil {
			return err
		}
	}
	return nil
}

func writeRandom(name string, size int64, buf []byte, random io.Reader) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644) //nolint:gosec // likewise
	if err != nil {
		return err
	}
	for ; size > 0; size -= int64(len(buf)) {
		_, _ = io.ReadFull(random, buf) // ChaCha8 does not fail
		if _, err := f.Write(buf[:min(size, int64(len(buf)))]); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// checkSpace is an error when the file system of dir has no room for size.
func checkSpace(dir string, size int64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < size {
		return fmt.Errorf("%s has %d MiB free and needs %d", dir, free/mib, size/mib)
	}
	return nil
}

// sameTrees is an error unless the files below got are those below want, byte
// by byte.
func sameTrees(want, got string) error {
	files := 0
	err := eachFile(want, func(name string, _ fs.FileInfo) error {
		files++
		rel, err := filepath.Rel(want, name)
		if err != nil {
			return err
		}
		return sameFiles(name, filepath.Join(got, rel))
	})
	if err != nil {
		return err
	}
	arrived := 0
	err = eachFile(got, func(string, fs.FileInfo) error { arrived++; return nil })
	if err == nil && arrived != files {
		err = fmt.Errorf("%d files arrived instead of %d", arrived, files)
	}
	return err
}

func eachFile(dir string, do func(name string, info fs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return do(name, info)
	})
}

func sameFiles(want, got string) error {
	a, err := os.Open(want)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(got)
	if err != nil {
		return err
	}
	defer b.Close()
	x, y := make([]byte, 256*kib), make([]byte, 256*kib)
	for {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return fmt.Errorf("%s arrived changed", filepath.Base(want))
		}
		if errA != nil || errB != nil {
			return errors.Join(realError(errA), realError(errB))
		}
	}
}

func realError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// arrived counts the bytes that files below dir occupy: those of a transfer that
// was cut off. A hole of a file has not arrived.
func arrived(dir string) (sum int64) {
	_ = eachFile(dir, func(_ string, info fs.FileInfo) error {
		n := info.Size()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			n = min(n, st.Blocks*512)
		}
		sum += n
		return nil
	}) // a file that vanished does not count
	return sum
}
