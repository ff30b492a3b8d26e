//go:build !linux

package receiver

import (
	"errors"
	"os"
)

// syncFS is not called where canSyncFS reports false.
func syncFS(*os.File) error { return errors.ErrUnsupported }

func canSyncFS(*os.File) bool { return false }
