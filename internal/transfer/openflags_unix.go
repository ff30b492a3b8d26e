//go:build unix

package transfer

import (
	"io/fs"
	"syscall"
)

// openFlags keep the opening of a source from blocking if a named pipe has
// replaced it.
const openFlags = syscall.O_NONBLOCK

// allocated returns how many bytes a file takes up, without its holes.
func allocated(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return fi.Size()
}
