//go:build unix

package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// checkPrivate refuses a key file that other users can read or change.
func checkPrivate(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the key file %s is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("the key file %s has mode %04o, so that others can read or change it; set it to 0600 (chmod 600), and if it may have been read, remove it to become a new server", path, info.Mode().Perm())
	}
	return nil
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
