package main

import (
	"os"
	"syscall"
)

// ownGroup keeps the console's Ctrl-C from a child process.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// terminate ends a child process; Windows knows no polite way.
func terminate(p *os.Process) error { return p.Kill() }
