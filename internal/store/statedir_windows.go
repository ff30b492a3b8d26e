package store

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// ownedSafely passes on Windows: a new directory inherits the rights of its
// parent there, which the operator has chosen.
func ownedSafely(os.FileInfo) error { return nil }

// giveToOwner has nothing to do on Windows: files inherit their rights.
func giveToOwner(*os.File, string) error { return nil }

// lockFile takes a lock that the kernel frees with the process. It is on the
// first byte of f, which nobody else can read or write meanwhile.
func lockFile(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

// unlockFile frees what lockFile took.
func unlockFile(f *os.File) error {
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, new(windows.Overlapped))
}

// syncDir does nothing: Windows keeps names durable by itself.
func syncDir(string) error { return nil }

// freeBytes is how much room the disk of a directory has for this user.
func freeBytes(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return int64(min(free, math.MaxInt64)), err
}
