//go:build unix

package triggers

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

const onWindows = false

// extensions are what may follow an event's name in its script's.
func extensions() []string { return []string{""} }

// exists tells whether anything has that name, be it a dangling link. It is asked
// for each event, and os.Lstat would make more of the answer.
func exists(path string) bool {
	var st unix.Stat_t
	for {
		if err := unix.Lstat(path, &st); !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}

// ownership says why nothing that belongs to somebody else than the user uid
// or root, or that others may write, is run; "" when the file or directory is
// fine. warning tells that it is only worth a word.
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

// diskFull tells whether err says so; a quota that is used up is the same.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func executable(fi fs.FileInfo) bool { return fi.Mode().Perm()&0o111 != 0 }

const makeExecutable = "is not executable; chmod +x it"
