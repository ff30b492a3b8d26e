package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dustin/go-humanize"
)

// copyTree copies the directories and regular files of source to target and
// leaves out what lies in without. Links and special files are no matter of
// this demonstration and are left out too.
func copyTree(source, target, without string) (files, bytes int64, err error) {
	err = filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		to := filepath.Join(target, rel)
		switch {
		case path == without:
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(to, 0o750)
		case !entry.Type().IsRegular():
			return nil
		}
		n, err := copyFile(path, to)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since the directory was read: it lives
		}
		files, bytes = files+1, bytes+n
		if err == nil && bytes > demoTreeMax {
			err = fmt.Errorf("%s holds more than %s: name a smaller tree with --source", source, humanize.IBytes(demoTreeMax))
		}
		return err
	})
	return files, bytes, err
}

func copyFile(from, to string) (n int64, err error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return 0, err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm()|0o600)
	if err != nil {
		return 0, err
	}
	// A file that grows while it is copied ends where it ended when opened.
	n, err = io.Copy(out, io.LimitReader(in, info.Size()))
	return n, errors.Join(err, out.Close())
}

// writeRandom writes size bytes that no compression makes smaller.
func writeRandom(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, size)
	return errors.Join(err, f.Close())
}

// listFiles names the regular files below dir, slash-separated.
func listFiles(dir string) ([]string, error) {
	entries, err := listTree(dir)
	return slices.DeleteFunc(entries, func(name string) bool { return name[len(name)-1] == '/' }), err
}

// listTree names everything below dir, slash-separated, sorted; directories
// end with a slash.
func listTree(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() {
			rel += "/"
		}
		names = append(names, rel)
		return nil
	})
	slices.Sort(names)
	return names, err
}

// compareTrees fails unless both directories hold the same names with the
// same bytes. It counts what it compared.
func compareTrees(a, b string) (files, size int64, err error) {
	left, err := listTree(a)
	if err != nil {
		return 0, 0, err
	}
	right, err := listTree(b)
	if err != nil {
		return 0, 0, err
	}
	for _, name := range left {
		if _, found := slices.BinarySearch(right, name); !found {
			return 0, 0, fmt.Errorf("%s is missing in %s", name, b)
		}
	}
	for _, name := range right {
		if _, found := slices.BinarySearch(left, name); !found {
			return 0, 0, fmt.Errorf("%s in %s is nothing that was sent", name, b)
		}
	}
	for _, name := range left {
		if name[len(name)-1] == '/' {
			continue
		}
		n, err := compareFiles(filepath.Join(a, filepath.FromSlash(name)), filepath.Join(b, filepath.FromSlash(name)))
		if err != nil {
			return 0, 0, err
		}
		files, size = files+1, size+n
	}
	return files, size, nil
}

func compareFiles(a, b string) (size int64, err error) {
	left, err := os.Open(a)
	if err != nil {
		return 0, err
	}
	defer func() { _ = left.Close() }()
	right, err := os.Open(b)
	if err != nil {
		return 0, err
	}
	defer func() { _ = right.Close() }()
	const block = 64 << 10
	x, y := make([]byte, block), make([]byte, block)
	l, r := bufio.NewReaderSize(left, block), bufio.NewReaderSize(right, block)
	for {
		n, errL := io.ReadFull(l, x)
		m, errR := io.ReadFull(r, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return size, fmt.Errorf("%s and %s differ at or after byte %d", a, b, size)
		}
		size += int64(n)
		if errL == nil && errR == nil {
			continue
		}
		if ends(errL) && ends(errR) {
			return size, nil
		}
		return size, fmt.Errorf("%s and %s cannot be compared: %w", a, b, errors.Join(errL, errR))
	}
}

func ends(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
