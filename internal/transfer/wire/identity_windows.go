package wire

import (
	"fmt"
	"io/fs"
)

// checkPrivate refuses anything but a regular file. Who may read the file
// depends on the access list of the state directory.
func checkPrivate(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the key file %s is not a regular file", path)
	}
	return nil
}

// SyncDir does nothing: on Windows names are durable without it.
func SyncDir(string) error { return nil }
