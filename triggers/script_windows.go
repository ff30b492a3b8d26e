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

// findIn returns the first of the names in a directory, or "".
func findIn(dir string, names []string) (name string, device uint64, err error) {
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return "", 0, err
	}
	for _, name := range names {
		_, err := os.Lstat(dir + `\` + name)
		if err == nil {
			return name, 0, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", 0, err
		}
	}
	return "", 0, nil
}

func deviceOf(fs.FileInfo) uint64 { return 0 }

func hardLinks(fs.FileInfo) uint64 { return 1 }

// ownership does nothing: access control lists are left to the operator.
func ownership(fs.FileInfo, int) (fault string) { return "" }

func linkOwnership(fs.FileInfo, int) (fault string) { return "" }

func groupMayAdd(fs.FileInfo) bool { return false }

// outOfResources reports whether err is a limit of the machine.
func outOfResources(err error) bool {
	return errors.Is(err, windows.ERROR_NO_SYSTEM_RESOURCES) || errors.Is(err, windows.ERROR_NOT_ENOUGH_MEMORY) ||
		errors.Is(err, windows.ERROR_TOO_MANY_OPEN_FILES)
}

// diskFull reports whether err is a full disk.
func diskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func executable(fs.FileInfo) bool { return true }

const makeExecutable = "cannot be run"

// mountedNoexec reports false: Windows has no such mounts.
func mountedNoexec(string) bool { return false }
