//go:build !linux

package receiver

import (
	"errors"
	"os"
)

// syncAllOf is not called where syncsAllOf reports false.
func syncAllOf(*os.File) error { return errors.ErrUnsupported }

func syncsAllOf(*os.File) bool { return false }

func renameAt(*os.File, string, *os.File, string) error { return errors.ErrUnsupported }
