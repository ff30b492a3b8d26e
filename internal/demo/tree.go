package demo

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// copyTree copies the directories and regular files of source to target and
// leaves out what lies in without. Links and special files are no matter of
// this demonstration and are left out too.
func copyTree(source, target, without string) (files int, size int64, err error) {
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
		files, size = files+1, size+n
		if err == nil && size > treeMax {
			err = fmt.Errorf("%s holds more than %s: name a smaller tree with --source", source, bytesOf(treeMax))
		}
		return err
	})
	return files, size, err
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

// treeOf finds what is below dir: the digests of the regular files, and the
// directories, whose names end with a slash. Names are slash-separated.
func treeOf(dir string) (files map[string][sha256.Size]byte, size int64, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = root.Close() }()
	files = map[string][sha256.Size]byte{}
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if entry.IsDir() {
			files[name+"/"] = [sha256.Size]byte{}
			return nil
		}
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		sum := sha256.New()
		n, err := io.Copy(sum, f)
		files[name], size = [sha256.Size]byte(sum.Sum(nil)), size+n
		return err
	})
	return files, size, err
}

// compareTrees fails unless both directories hold the same names with the
// same bytes. It counts what it compared.
func compareTrees(sent, arrived string) (files int, size int64, err error) {
	left, size, err := treeOf(sent)
	if err != nil {
		return 0, 0, err
	}
	right, _, err := treeOf(arrived)
	if err != nil {
		return 0, 0, err
	}
	for name, sum := range left {
		switch there, found := right[name]; {
		case !found:
			return 0, 0, fmt.Errorf("%s is missing in %s", name, arrived)
		case there != sum:
			return 0, 0, fmt.Errorf("%s differs in %s", name, arrived)
		case !strings.HasSuffix(name, "/"):
			files++
		}
	}
	for name := range right {
		if _, found := left[name]; !found {
			return 0, 0, fmt.Errorf("%s in %s is nothing that was sent", name, arrived)
		}
	}
	return files, size, nil
}
