//go:build !linux

package transfer

import "os"

// readable returns an error if the file called name in dir may not be read.
func readable(dir *os.Root, _ *os.File, name string) error {
	f, err := dir.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return err
	}
	return f.Close()
}
