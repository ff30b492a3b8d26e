//go:build unix

package receiver

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// writable returns an error if this process may not make files in a directory. It
// makes none.
func writable(dir string) error {
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "access", Path: dir, Err: err}
	}
	return nil
}
