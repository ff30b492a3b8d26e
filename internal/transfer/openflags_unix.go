//go:build unix

package transfer

import "syscall"

// openFlags keep the opening of a source from waiting, should a named pipe
// have taken its place.
const openFlags = syscall.O_NONBLOCK
