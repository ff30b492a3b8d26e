//go:build unix

package receiver

import "syscall"

// openFlags keep the opening of a file from blocking if a named pipe has replaced
// it.
const openFlags = syscall.O_NONBLOCK
