package main

import (
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
// stays as it is.
func (o owner) makeDir(dir string, mode os.FileMode, rootOnly bool) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is no directory", dir)
		}
		return err
	}
	if err == nil {
		err = os.Chmod(dir, mode) // whatever the umask
	}
	if err == nil && o.known {
		uid, gid := o.ids(rootOnly)
		err = os.Lchown(dir, uid, gid)
	}
	return err
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
