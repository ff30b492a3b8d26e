package receiver

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncFS makes everything durable that was written to the file system of an
// opened directory, and reports the failures since it was opened.
func syncFS(dir *os.File) error { return unix.Syncfs(int(dir.Fd())) }

// canSyncFS reports whether the file system is one of those of which that is known:
// others, such as FUSE, may pass on only the data.
func canSyncFS(dir *os.File) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		return false
	}
	switch int64(st.Type) { //nolint:unconvert // it is an int32 on some processors
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true
	}
	return false
}
