package transfer

import (
	"os"
	"syscall"
)

// tellsFiles reports whether addIdentity works on this system.
const tellsFiles = true

func addIdentity(s *FileState, fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if ok {
		s.Device, s.Inode, s.ChangeTime = uint64(st.Dev), st.Ino, st.Ctimespec.Nano()
	}
	return ok
}
