//go:build unix

package receiver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ours checks that a directory belongs to this server's user and to nobody
// else's reach.
func ours(info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("the directory of part files belongs to user %d with mode %04o, not to this server alone", st.Uid, info.Mode().Perm())
	}
	return nil
}

// syncBelow makes the names in a directory durable.
func syncBelow(root *os.Root, rel string) error {
	d, err := root.Open(rel)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func isOtherDevice(err error) bool { return errors.Is(err, syscall.EXDEV) }

// isExhausted tells of a want that passes by itself: too many open files, no
// memory.
func isExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}
