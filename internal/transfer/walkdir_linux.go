package transfer

import (
	"os"

	"golang.org/x/sys/unix"
)

// readable returns an error if the file called name in dir may not be read.
// handle is dir, open. It asks instead of opening the file, which costs three
// times as much.
func readable(_ *os.Root, handle *os.File, name string) error {
	for {
		err := unix.Faccessat(int(handle.Fd()), name, unix.R_OK, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW)
		if err != unix.EINTR {
			return err
		}
	}
}
