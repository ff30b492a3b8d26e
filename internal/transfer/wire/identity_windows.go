package wire

import (
	"fmt"
	"io/fs"
)

// checkPrivate checks what a mode can say on Windows; who may read the file is
// up to the access list of the state directory.
func checkPrivate(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the key file %s is not a regular file", path)
	}
	return nil
}

// syncDir does nothing: Windows keeps names durable by itself.
func syncDir(string) error { return nil }
