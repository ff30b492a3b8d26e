package triggers

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

const onWindows = true

// extensions are what may follow an event's name in its script's, in the
// order of preference.
func extensions() []string { return []string{".bat", ".cmd", ".exe"} }

// exists tells whether anything has that name.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// ownership leaves rights to the directory's access control list.
func ownership(fs.FileInfo, int) (fault string, warning bool) { return "", false }

// diskFull tells whether err says so.
func diskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func executable(fs.FileInfo) bool { return true }

const makeExecutable = "cannot be run"
