//go:build unix

package main

import (
	"os"
	"syscall"
)

// ownerOf returns the user id that a server runs as: the owner of its state
// directory, or this process's user if that is unknown.
func ownerOf(stateDir string) int {
	if fi, err := os.Stat(stateDir); err == nil {
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			return int(st.Uid)
		}
	}
	return os.Geteuid()
}
