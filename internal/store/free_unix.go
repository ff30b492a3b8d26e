//go:build unix

package store

import "golang.org/x/sys/unix"

// freeBytes returns how many bytes the file system of a directory has room for.
func freeBytes(dir string) (free uint64, ok bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return uint64(st.Bavail) * uint64(st.Bsize), st.Blocks > 0 //nolint:unconvert // the types differ from system to system
}
