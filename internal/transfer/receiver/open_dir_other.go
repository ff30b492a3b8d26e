//go:build !linux

package receiver

import (
	"errors"
	"os"
)

func renameAt(*os.File, string, *os.File, string) error { return errors.ErrUnsupported }
