//go:build unix

package receiver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkPrivate checks that a directory belongs to the user of this process and
// is accessible to no other.
func checkPrivate(info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("the directory of part files belongs to user %d with mode %04o, not to this server alone", st.Uid, info.Mode().Perm())
	}
	return nil
}

// tolerateModeless returns nil for errors of a file system that does not take
// modes or times.
func tolerateModeless(err error) error {
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.EACCES, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL} {
		if errors.Is(err, errno) {
			return nil
		}
	}
	return err
}

// syncBelow makes the names in the directory rel durable.
func syncBelow(root *os.Root, rel string) error {
	d, err := root.Open(rel)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(d), d.Close())
}

// syncDir makes the names in an opened directory and its mode durable.
func syncDir(d *os.File) error { return d.Sync() }

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func isOtherDevice(err error) bool { return errors.Is(err, syscall.EXDEV) }

// isExhausted reports whether err is a temporary lack of open files or memory.
func isExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}
