package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// PrepareDir makes state directory dir (mode 0700) if it is missing and checks
// that nobody else can write to it: it must belong to the caller (root may use
// anybody's), and group and others must not write. What it cannot mend it says.
func PrepareDir(dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("state directory %s must be an absolute path", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("state directory %s cannot be made (%w); choose another with --persistent-state-dir", dir, bare(err))
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("state directory %s cannot be used (%w)", dir, bare(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("state directory %s is no directory; choose another with --persistent-state-dir", dir)
	}
	if err := ownedSafely(info); err != nil {
		return fmt.Errorf("state directory %s %w", dir, err)
	}
	return nil
}

// ErrLocked tells that another server uses the state directory.
var ErrLocked = errors.New("in use")

// Lock takes the state directory for this process until unlock is called or
// the process ends, however it ends. A directory that another server holds is
// an ErrLocked whose text says so.
func Lock(dir string) (unlock func() error, err error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory %s cannot be locked (%w)", dir, bare(err))
	}
	switch err := lockFile(f); {
	case errors.Is(err, ErrLocked):
		_ = f.Close()
		return nil, fmt.Errorf("state directory %s is %w by another JetStream server; stop that one, or give this one "+
			"its own with --persistent-state-dir", dir, ErrLocked)
	case err != nil:
		_ = f.Close()
		return nil, fmt.Errorf("state directory %s cannot be locked (%w)", dir, err)
	}
	return f.Close, nil
}

// bare takes the operation and path off a path error whose path is in the
// sentence already.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
