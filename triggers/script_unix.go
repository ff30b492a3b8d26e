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

// exists reports whether path exists, also as a dangling link. It is called for
// each event and therefore faster than os.Lstat.
func exists(path string) bool {
	var st unix.Stat_t
	for {
		if err := unix.Lstat(path, &st); !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}

// ownership returns what is wrong with the owner and mode of a file or
// directory, or "": it must belong to the user uid or root, and others must not
// be able to write it. warning reports whether it may be used nevertheless.
func ownership(fi fs.FileInfo, uid int) (fault string, warning bool) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != uid {
		return "belongs to another user (uid " + itoa(int(st.Uid)) + "); chown it to the server's user or root", false
	}
	switch mode := fi.Mode().Perm(); {
	case mode&0o002 != 0:
		return "may be written by everybody; chmod o-w it", false
	case mode&0o020 != 0:
		return "may be written by its group; chmod g-w it unless that is meant", true
	}
	return "", false
}

// diskFull reports whether err is a full disk or an exceeded quota.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func executable(fi fs.FileInfo) bool { return fi.Mode().Perm()&0o111 != 0 }

const makeExecutable = "is not executable; chmod +x it"
