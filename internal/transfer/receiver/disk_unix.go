//go:build unix

package receiver

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// checkPrivate checks that an opened directory belongs to the user of this
// process, and makes it accessible to no other. On a file system without modes
// others may be able to read it, but not to write.
func checkPrivate(dir *os.Root, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o077 != 0 {
		if err := tolerateModeless(dir.Chmod(".", 0o700)); err != nil {
			return err
		}
		var err error
		if info, err = dir.Stat("."); err != nil {
			return err
		}
	}
	if mode := info.Mode().Perm(); int(st.Uid) != os.Geteuid() || mode&0o022 != 0 {
		return failf(nil, "others could change what arrives at the receiver: its directory for part files belongs to user %d with mode %04o; "+
			"if the file system has no owners and modes of its own (FAT, NTFS, CIFS), mount it with the options uid=%d and umask=077", st.Uid, mode, os.Geteuid())
	}
	return nil
}

// groupOf returns the group of a file, -1 if it has none.
func groupOf(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Gid)
	}
	return -1
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
