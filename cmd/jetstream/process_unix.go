//go:build unix

package main

import (
	"os"
	"syscall"
)

// ownGroup keeps the terminal's Ctrl-C from a child process.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// terminate asks a child process to end.
func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
