//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// stateDirFault says what is wrong with the mode of a state directory, "" if nothing is.
func stateDirFault(info fs.FileInfo) string {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Sprintf("can be used by others (mode %04o)", mode)
	}
	return ""
}

// mayWrite reports whether the mode of a directory lets a user write to it.
func mayWrite(info fs.FileInfo, uid int) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || uid == 0 {
		return true
	}
	mode := info.Mode().Perm()
	switch {
	case int(st.Uid) == uid:
		return mode&0o300 == 0o300
	case slices.Contains(groupsOf(uid), strconv.Itoa(int(st.Gid))):
		return mode&0o030 == 0o030
	}
	return mode&0o003 == 0o003
}

func groupsOf(uid int) []string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return nil
	}
	groups, err := u.GroupIds()
	if err != nil {
		return []string{u.Gid}
	}
	return groups
}

// userName returns the name of a user, or the number where it has none.
func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}
