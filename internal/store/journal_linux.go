package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes what was written to f durable, without the times of the file,
// which nobody asks for.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
