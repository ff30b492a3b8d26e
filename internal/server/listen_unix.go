//go:build unix

package server

import "syscall"

const errAddressInUse = syscall.EADDRINUSE
