package triggers

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

const onWindows = true

// extensions lists the possible extensions of scripts, in the order of
// preference.
func extensions() []string { return []string{".bat", ".cmd", ".exe"} }

// exists reports whether path exists.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// ownership does nothing: access control lists are left to the operator.
func ownership(fs.FileInfo, int) (fault string, warning bool) { return "", false }

// diskFull reports whether err is a full disk.
func diskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func executable(fs.FileInfo) bool { return true }

const makeExecutable = "cannot be run"

// mountedNoexec reports false: Windows has no such mounts.
func mountedNoexec(string) bool { return false }
