//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func ownedSafely(info os.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if me := os.Geteuid(); me != 0 && int(st.Uid) != me && st.Uid != 0 {
		return fmt.Errorf("belongs to user %d, not to this one (%d); run as its owner or root, or choose another with --persistent-state-dir", st.Uid, me)
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("may be written by others (mode %04o); run chmod 0700 on it", perm)
	}
	return nil
}

// GiveToOwner gives a file to the owner of dir: it lets root work on another user's state directory without leaving
// files there that the owner cannot use.
func GiveToOwner(f *os.File, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 {
		return nil
	}
	own, err := f.Stat()
	if err != nil {
		return err
	}
	// The owner of the directory must not lead root to a file elsewhere.
	if st, ok := own.Sys().(*syscall.Stat_t); !ok || !own.IsDir() && (!own.Mode().IsRegular() || st.Nlink > 1) {
		return fmt.Errorf("%s has other names or is no regular file, so that root leaves it alone: remove it", f.Name())
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}

// noFollow makes opening a symbolic link an error.
const noFollow = unix.O_NOFOLLOW

// lockFile takes an advisory lock that the kernel frees with the process.
func lockFile(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}
