package receiver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
)

// partName returns the name of the part file of an entry.
func partName(index int64) string { return strconv.FormatInt(index, 10) + ".part" }

// makeStaging makes the directory rel below root, with mode 0700, and opens it.
// It first removes whatever has that name; links are not followed.
func makeStaging(root tree, rel string) (*os.Root, error) {
	if err := root.RemoveAll(rel); err != nil {
		return nil, err
	}
	if err := root.Mkdir(rel, 0o700); err != nil {
		return nil, err
	}
	if err := syncBelow(root.Root, path.Dir(rel)); errors.Is(err, fs.ErrPermission) {
		syncAll() // it can be written to but not opened
	} else if err != nil {
		return nil, err
	}
	return openStaging(root, rel)
}

// openStaging opens the directory that makeStaging has made. It fails if a link
// or another directory has replaced it.
func openStaging(root tree, rel string) (*os.Root, error) {
	named, err := root.Lstat(rel)
	if err != nil {
		return nil, err
	}
	if !named.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: rel, Err: errors.New("something else is in the place of the directory of part files")}
	}
	staging, err := root.OpenRoot(rel)
	if err != nil {
		return nil, err
	}
	opened, err := staging.Stat(".")
	if err == nil && !os.SameFile(named, opened) {
		err = &fs.PathError{Op: "open", Path: rel, Err: errors.New("the directory of part files was exchanged")}
	}
	if err == nil {
		err = checkPrivate(staging, opened)
	}
	if err != nil {
		return nil, errors.Join(err, staging.Close())
	}
	return staging, nil
}

// removeStaging removes the directory rel below dir with all part files.
func removeStaging(dir, rel string) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(tree{root}.RemoveAll(rel), root.Close())
}

// createPart makes the part file of an entry. It removes an existing one.
func createPart(staging *os.Root, index int64) (*os.File, error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL
	f, err := staging.OpenFile(partName(index), flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if err := staging.Remove(partName(index)); err != nil {
			return nil, err
		}
		f, err = staging.OpenFile(partName(index), flags, 0o600)
	}
	return f, err
}

// reopenPart opens the part file of an entry, which must have size bytes at
// least, and cuts off what is behind them.
func reopenPart(staging *os.Root, index, size int64) (*os.File, error) {
	name := partName(index)
	named, err := staging.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !named.Mode().IsRegular() || named.Size() < size {
		return nil, fmt.Errorf("part file %s is not what was written", name)
	}
	// It has its final mode if it was complete and could not be recorded.
	if err := tolerateModeless(staging.Chmod(name, 0o600)); err != nil {
		return nil, err
	}
	f, err := staging.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(named, opened) {
		err = fmt.Errorf("part file %s was exchanged", name)
	}
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
