package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// serviceUser is the user that the packages' service runs as.
const serviceUser = "jetstream"

// owner is the user that the server will run as, where root prepares what it needs.
type owner struct {
	known    bool // otherwise what is made is this process's
	uid, gid int
}

// serviceOwner returns the user of the service, for root on a machine that has one.
func serviceOwner() owner {
	if os.Geteuid() != 0 {
		return owner{}
	}
	u, err := user.Lookup(serviceUser)
	if err != nil {
		return owner{}
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	return owner{uidErr == nil && gidErr == nil, uid, gid}
}

// ids are the user and the group of what is made; what only root may change is root's
// and of the service's group.
func (o owner) ids(rootOnly bool) (uid, gid int) {
	if rootOnly {
		return 0, o.gid
	}
	return o.uid, o.gid
}

// makeDir makes a directory, and its parents, for the service. One that is there
// stays as it is. It has its owner and mode from the beginning.
func (o owner) makeDir(dir string, mode os.FileMode, rootOnly bool) (err error) {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is no directory", dir)
		}
		return nil
	}
	if err := o.makeParent(filepath.Dir(dir)); err != nil {
		return err
	}
	// The parent may be the service's, which must not lead root elsewhere.
	parent, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, parent.Close()) }()
	temporary := filepath.Base(dir) + "." + rand.Text()
	if err := parent.Mkdir(temporary, 0o700); err != nil {
		return err
	}
	err = parent.Chmod(temporary, mode) // whatever the umask
	if o.known {
		uid, gid := o.ids(rootOnly)
		err = errors.Join(err, parent.Lchown(temporary, uid, gid))
	}
	if err == nil {
		err = parent.Rename(temporary, filepath.Base(dir))
	}
	if err != nil {
		return errors.Join(err, parent.Remove(temporary))
	}
	return nil
}

// makeParent makes a directory that is only on the way, and those above it. The
// service must come through, whatever root's umask.
func (o owner) makeParent(dir string) error {
	if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
		return nil
	}
	if err := o.makeParent(filepath.Dir(dir)); err != nil {
		return err
	}
	parent, err := os.OpenRoot(filepath.Dir(dir)) // as in makeDir
	if err != nil {
		return err
	}
	defer func() { _ = parent.Close() }()
	if err := parent.Mkdir(filepath.Base(dir), 0o755); err != nil || !o.known { // users and the service come through to what is theirs
		return err
	}
	return parent.Chmod(filepath.Base(dir), 0o755)
}

// writeFile makes a file that is whole or not there. One that is there stays: the
// error is fs.ErrExist.
func (o owner) writeFile(path string, text []byte, mode os.FileMode, rootOnly bool) error {
	return o.write(path, text, mode, rootOnly, func(from string) error {
		err := os.Link(from, path)
		if err == nil || errors.Is(err, fs.ErrExist) {
			return err
		}
		if _, err := os.Lstat(path); err == nil {
			return fs.ErrExist
		}
		return os.Rename(from, path) // the file system has no hard links
	})
}

// replaceFile is writeFile for one that may be there.
func (o owner) replaceFile(path string, text []byte, mode os.FileMode, rootOnly bool) error {
	return o.write(path, text, mode, rootOnly, func(from string) error { return os.Rename(from, path) })
}

func (o owner) write(path string, text []byte, mode os.FileMode, rootOnly bool, place func(from string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode))
	if o.known {
		uid, gid := o.ids(rootOnly)
		err = errors.Join(err, f.Chown(uid, gid))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name()); err != nil {
		return fmt.Errorf("%s cannot be written: %w", path, err)
	}
	return syncDir(dir)
}

// syncDir puts the names in a directory on disk, where the system can do that.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync() // Windows and some file systems cannot
	return d.Close()
}
