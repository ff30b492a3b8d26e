package receiver

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// tree is a sandbox's root. Where a directory on the way may be passed through
// but not read, which os.Root does not do, its methods work all the same on
// systems that can (see through). Names are without links, except the last one.
type tree struct{ *os.Root }

// Lstat is os.Root.Lstat.
func (t tree) Lstat(name string) (info fs.FileInfo, err error) {
	info, err = t.Root.Lstat(name)
	if errors.Is(err, fs.ErrPermission) {
		err = through(t.Root, name, err, func(name string) (err error) { info, err = os.Lstat(name); return err })
	}
	return info, err
}

// Mkdir is os.Root.Mkdir.
func (t tree) Mkdir(name string, mode os.FileMode) error {
	err := t.Root.Mkdir(name, mode)
	if errors.Is(err, fs.ErrPermission) {
		err = through(t.Root, name, err, func(name string) error { return os.Mkdir(name, mode) })
	}
	return err
}

// Remove is os.Root.Remove.
func (t tree) Remove(name string) error {
	err := t.Root.Remove(name)
	if errors.Is(err, fs.ErrPermission) {
		err = through(t.Root, name, err, os.Remove)
	}
	return err
}

// Rename is os.Root.Rename.
func (t tree) Rename(from, to string) error {
	return t.both(from, to, t.Root.Rename, os.Rename)
}

// Link is os.Root.Link.
func (t tree) Link(from, to string) error { return t.both(from, to, t.Root.Link, os.Link) }

func (t tree) both(from, to string, inRoot, outside func(from, to string) error) error {
	err := inRoot(from, to)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return through(t.Root, from, err, func(from string) error {
		return through(t.Root, to, err, func(to string) error { return outside(from, to) })
	})
}

// OpenFile is os.Root.OpenFile for a file that is made.
func (t tree) OpenFile(name string, flags int, mode os.FileMode) (f *os.File, err error) {
	f, err = t.Root.OpenFile(name, flags|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrPermission) {
		err = through(t.Root, name, err, func(name string) (err error) {
			f, err = os.OpenFile(name, flags|os.O_CREATE|os.O_EXCL, mode)
			return err
		})
	}
	return f, err
}

// OpenRoot is os.Root.OpenRoot.
func (t tree) OpenRoot(name string) (dir *os.Root, err error) {
	dir, err = t.Root.OpenRoot(name)
	if errors.Is(err, fs.ErrPermission) {
		err = to(t.Root, name, err, func(name string) (err error) { dir, err = os.OpenRoot(name); return err })
	}
	return dir, err
}

// ChmodDir is os.Root.Chmod for a directory.
func (t tree) ChmodDir(name string, mode os.FileMode) error {
	err := t.Root.Chmod(name, mode)
	if errors.Is(err, fs.ErrPermission) {
		err = to(t.Root, name, err, func(name string) error { return os.Chmod(name, mode) })
	}
	return err
}

// ChtimesDir is os.Root.Chtimes for a directory.
func (t tree) ChtimesDir(name string, at time.Time) error {
	err := t.Root.Chtimes(name, at, at)
	if errors.Is(err, fs.ErrPermission) {
		err = to(t.Root, name, err, func(name string) error { return os.Chtimes(name, at, at) })
	}
	return err
}

// RemoveAll removes a directory of files.
func (t tree) RemoveAll(name string) error {
	err := t.Root.RemoveAll(name)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	info, err := t.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.IsDir() {
		err = t.empty(name)
	}
	if err == nil {
		err = t.Remove(name)
	}
	return err
}

func (t tree) empty(name string) error {
	dir, err := t.OpenRoot(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	list, err := fs.ReadDir(dir.FS(), ".")
	for _, e := range list {
		err = errors.Join(err, dir.RemoveAll(e.Name()))
	}
	return err
}
