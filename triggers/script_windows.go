package triggers

import (
	"io/fs"
	"os"
	"path/filepath"
)

const onWindows = true

// extensions are what may follow an event's name in its script's, in the
// order of preference.
func extensions() []string { return []string{".bat", ".cmd", ".exe"} }

// ownership leaves rights to the directory's access control list.
func ownership(fs.FileInfo) (fault string, warning bool) { return "", false }

func executable(fs.FileInfo) bool { return true }

const makeExecutable = "cannot be run"

// scriptExists tells whether anything of the event's name is in dir.
func scriptExists(dir, event string) bool {
	if !isFileName(event) {
		return false
	}
	_, err := os.Lstat(scriptPath(dir, event))
	return err == nil
}

// scriptPath is the file to run for the event: the first that is there.
func scriptPath(dir, event string) string {
	path := filepath.Join(dir, event)
	for _, ext := range extensions() {
		if _, err := os.Lstat(path + ext); err == nil {
			return path + ext
		}
	}
	return path + extensions()[0]
}
