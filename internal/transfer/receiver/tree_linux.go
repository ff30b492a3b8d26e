package receiver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// through calls do with a path of name that passes through its directory
// without reading it; denied is the error of the attempt before.
func through(root *os.Root, name string, denied error, do func(name string) error) error {
	if name == "." {
		return denied
	}
	return to(root, path.Dir(name), denied, func(dir string) error { return do(dir + "/" + path.Base(name)) })
}

// to is through for the directory itself.
func to(root *os.Root, dir string, denied error, do func(name string) error) error {
	top, err := root.Open(".")
	if err != nil {
		return denied
	}
	defer top.Close()
	fd, err := unix.Openat2(int(top.Fd()), dir, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil: // also on kernels without openat2
		return denied
	}
	defer func() { _ = unix.Close(fd) }()
	return do(fmt.Sprintf("/proc/self/fd/%d", fd))
}

// syncAll makes everything durable: names in a directory that cannot be opened.
func syncAll() { unix.Sync() }
