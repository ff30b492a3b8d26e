//go:build unix

package transfer

import "syscall"

// openFlags keep the opening of a source from blocking if a named pipe has
// replaced it.
const openFlags = syscall.O_NONBLOCK
