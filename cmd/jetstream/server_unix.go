//go:build unix

package main

import "syscall"

const errAddressInUse = syscall.EADDRINUSE
