package receiver

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// ours has nothing to check: access lists are inherited from the sandbox.
func ours(fs.FileInfo) error { return nil }

// syncBelow does nothing: Windows keeps names durable by itself.
func syncBelow(*os.Root, string) error { return nil }

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func isOtherDevice(err error) bool { return errors.Is(err, windows.ERROR_NOT_SAME_DEVICE) }

// isExhausted tells of a want that passes by itself.
func isExhausted(err error) bool { return errors.Is(err, windows.ERROR_TOO_MANY_OPEN_FILES) }
