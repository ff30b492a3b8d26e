package receiver

import (
	"os"

	"golang.org/x/sys/unix"
)

// renameAt renames a name of one opened directory to a name of another.
func renameAt(fromDir *os.File, from string, toDir *os.File, to string) error {
	err := unix.Renameat(int(fromDir.Fd()), from, int(toDir.Fd()), to)
	if err != nil {
		return &os.LinkError{Op: "renameat", Old: from, New: to, Err: err}
	}
	return nil
}
