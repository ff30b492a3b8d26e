//go:build unix

package main

import (
	"os"
	"syscall"
)

// ownerOf is the user that a server runs as, by its state directory; this
// process's where that is not known.
func ownerOf(stateDir string) int {
	if fi, err := os.Stat(stateDir); err == nil {
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			return int(st.Uid)
		}
	}
	return os.Geteuid()
}
