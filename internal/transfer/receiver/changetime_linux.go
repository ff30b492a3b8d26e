package receiver

import (
	"io/fs"
	"syscall"
)

// changeTime returns when data or attributes of a file have changed last, which
// nobody can set.
func changeTime(info fs.FileInfo) int64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ctim.Nano()
	}
	return 0
}

// linkCount returns how many names a file has.
func linkCount(info fs.FileInfo) int64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(s.Nlink)
	}
	return 0
}
