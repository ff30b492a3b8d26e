package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"

	"jetstream/internal/account"
)

// nameBatch is how many names of a directory are held in memory. A larger
// directory is read several times.
const nameBatch = 65536

// directory adds the directory at rel, then its contents, sorted by the bytes
// of the names.
func (w *walker) directory(ctx context.Context, rel string, s source) error {
	if slices.Contains(w.inside, rel) {
		return w.skip(ctx, s.path, skipLoop)
	}
	w.inside = append(w.inside, rel)
	defer func() { w.inside = w.inside[:len(w.inside)-1] }()

	fi, err := w.box.Root.Lstat(rel)
	if err != nil {
		return sourceError(s.path, err)
	}
	if err := w.add(ctx, s, fi); err != nil {
		return err
	}
	for last := ""; ; {
		names, more, err := w.names(ctx, rel, last)
		if err != nil {
			return sourceError(s.path, err)
		}
		if err := w.children(ctx, rel, s, names); err != nil {
			return err
		}
		if !more {
			return nil
		}
		last = names[len(names)-1]
	}
}

// names reads the next batch of names of a directory.
func (w *walker) names(ctx context.Context, rel, after string) (names []string, more bool, err error) {
	f, err := w.box.Root.Open(rel)
	if err != nil {
		return nil, false, err
	}
	names, more, err = account.NamesAfter(ctx, f, after, nameBatch)
	return names, more, errors.Join(err, f.Close())
}

// children adds the named entries of the directory at rel. It keeps the
// directory open while it adds files and closes it before it enters another, so
// that the number of open files does not depend on the depth.
func (w *walker) children(ctx context.Context, rel string, s source, names []string) error {
	var dir *os.Root
	shut := func() {
		if dir != nil {
			_ = dir.Close()
			dir = nil
		}
	}
	defer shut()
	for _, name := range names {
		if IsStaging(name) { // not even looked at: it may go away at any time
			if err := w.skip(ctx, path.Join(s.path, name), skipPartFiles); err != nil {
				return err
			}
			continue
		}
		if dir == nil {
			var err error
			if dir, err = w.box.Root.OpenRoot(rel); err != nil {
				return sourceError(s.path, err)
			}
		}
		child := source{path.Join(s.path, name), path.Join(s.name, name)}
		fi, err := dir.Lstat(name)
		if err != nil {
			return sourceError(child.path, err)
		}
		switch {
		case fi.IsDir():
			shut()
			if w.box.Forbidden(fi) {
				continue // a secret directory, which cannot be sent
			}
			err = w.entry(ctx, w.box.Root, "", path.Join(rel, name), child, fi)
		case fi.Mode()&fs.ModeSymlink != 0:
			shut()
			err = w.link(ctx, child)
		default:
			err = w.entry(ctx, dir, name, "", child, fi)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// link adds the target of a link under the name of the link. A link that leads
// to nothing that can be sent is left out.
func (w *walker) link(ctx context.Context, s source) error {
	rel, err := w.box.Resolve(s.path, true)
	if err == nil && inStaging(rel) {
		return w.skip(ctx, s.path, skipPartFiles)
	}
	var fi fs.FileInfo
	if err == nil {
		fi, err = w.box.Root.Lstat(rel)
	}
	if err != nil {
		if fault := linkFault(err); fault != "" {
			return w.skip(ctx, s.path, fault)
		}
		return sourceError(s.path, err)
	}
	if w.box.Forbidden(fi) {
		return w.skip(ctx, s.path, skipOutside)
	}
	return w.entry(ctx, w.box.Root, rel, rel, s, fi)
}
