package receiver

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// checkPrivate does nothing: access lists are inherited from the sandbox.
func checkPrivate(*os.Root, fs.FileInfo) error { return nil }

// groupOf returns -1: files have no groups.
func groupOf(fs.FileInfo) int { return -1 }

// tolerateModeless returns nil for errors of a file system that does not take
// modes or times.
func tolerateModeless(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, windows.ERROR_NOT_SUPPORTED) || errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return nil
	}
	return err
}

// syncDir does nothing, as syncBelow.
func syncDir(*os.File) error { return nil }

// syncBelow does nothing: on Windows names are durable without it.
func syncBelow(*os.Root, string) error { return nil }

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func isOtherDevice(err error) bool { return errors.Is(err, windows.ERROR_NOT_SAME_DEVICE) }

// isExhausted reports whether err is a temporary lack of open files.
func isExhausted(err error) bool { return errors.Is(err, windows.ERROR_TOO_MANY_OPEN_FILES) }
