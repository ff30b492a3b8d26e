package store

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// ownedSafely passes on Windows: a new directory inherits the rights of its
// parent there, which the operator has chosen.
func ownedSafely(os.FileInfo) error { return nil }

// GiveToOwner has nothing to do on Windows: files inherit their rights.
func GiveToOwner(*os.File, string) error { return nil }

// noFollow is nothing: who may make links here may do all that root may.
const noFollow = 0

// lockFile takes a lock that the kernel frees with the process. It is on a byte
// far beyond the end of f: nobody else can read or write what is locked.
func lockFile(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}
