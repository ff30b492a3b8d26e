package receiver

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// checkPrivate does nothing: access lists are inherited from the sandbox.
func checkPrivate(fs.FileInfo) error { return nil }

// syncBelow does nothing: on Windows names are durable without it.
func syncBelow(*os.Root, string) error { return nil }

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func isOtherDevice(err error) bool { return errors.Is(err, windows.ERROR_NOT_SAME_DEVICE) }

// isExhausted reports whether err is a temporary lack of open files.
func isExhausted(err error) bool { return errors.Is(err, windows.ERROR_TOO_MANY_OPEN_FILES) }
