//go:build unix

package triggers

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

const onWindows = false

// extensions lists the possible extensions of scripts.
func extensions() []string { return []string{""} }

// findIn opens a directory and returns the first of the names in it, which may
// be that of a dangling link, or "" and the device of the directory. It is
// called for each event and therefore avoids package os.
func findIn(dir string, names []string) (name string, device uint64, err error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	})
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	for _, name := range names {
		_, err := ignoringEINTR(func() (int, error) { return 0, unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
		if err == nil {
			return name, 0, nil
		}
		if !errors.Is(err, unix.ENOENT) {
			return "", 0, err
		}
	}
	err = unix.Fstat(fd, &st)
	return "", uint64(st.Dev), err //nolint:unconvert // signed on other systems
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// deviceOf returns the device of a file's file system.
func deviceOf(fi fs.FileInfo) uint64 {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return uint64(st.Dev) //nolint:unconvert // signed on other systems
}

// hardLinks returns how many names a file has.
func hardLinks(fi fs.FileInfo) uint64 {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return uint64(st.Nlink) //nolint:unconvert // shorter on other systems
}

// ownership returns what is wrong with the owner and mode of a file or
// directory, or "": it must belong to the user uid or root, and others must not
// be able to write it, but for a group that may add files to a sticky directory.
func ownership(fi fs.FileInfo, uid int) (fault string) {
	if fault := linkOwnership(fi, uid); fault != "" {
		return fault
	}
	switch mode := fi.Mode(); {
	case mode.Perm()&0o002 != 0:
		return "may be written by everybody; chmod o-w it"
	case mode.Perm()&0o020 == 0, groupMayAdd(fi):
		return ""
	case fi.IsDir():
		return "may be written by its group, who could replace any script; chmod g-w it, or set its sticky bit (chmod +t)"
	}
	return "may be written by its group; chmod g-w it"
}

// linkOwnership is ownership for a link, which has no mode of its own.
func linkOwnership(fi fs.FileInfo, uid int) (fault string) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != uid {
		return "belongs to another user (uid " + itoa(int(st.Uid)) + "); chown it to the server's user or root"
	}
	return ""
}

// groupMayAdd reports whether a directory is one to which its group may add
// files, without touching those of others.
func groupMayAdd(dir fs.FileInfo) bool {
	return dir.IsDir() && dir.Mode().Perm()&0o020 != 0 && dir.Mode()&fs.ModeSticky != 0
}

// outOfResources reports whether err is a limit of this process, its user or
// the machine.
func outOfResources(err error) bool {
	for _, limit := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.ENOMEM} {
		if errors.Is(err, limit) {
			return true
		}
	}
	return false
}

// diskFull reports whether err is a full disk or an exceeded quota.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func executable(fi fs.FileInfo) bool { return fi.Mode().Perm()&0o111 != 0 }

const makeExecutable = "is not executable; chmod +x it"
