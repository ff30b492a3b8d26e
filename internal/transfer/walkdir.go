package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// nameBatch is how many names of a directory are held at a time. A directory
// of more is read several times, so that its size costs time and no memory.
const nameBatch = 65536

// directory lists what is in the directory at rel, in the order of the names'
// bytes; one with nothing to send in it is listed itself.
func (w *walker) directory(ctx context.Context, rel string, s source) error {
	if slices.Contains(w.inside, rel) {
		return api.Errorf(api.CodeConflict, "source %s is a link that leads back to a directory it lies in: remove the link", s.path)
	}
	w.inside = append(w.inside, rel)
	defer func() { w.inside = w.inside[:len(w.inside)-1] }()

	before, last := w.next, ""
	for {
		names, more, err := w.names(ctx, rel, last)
		if err != nil {
			return fault(s.path, err)
		}
		if err := w.children(ctx, rel, s, names); err != nil {
			return err
		}
		if !more {
			break
		}
		last = names[len(names)-1]
	}
	if w.next > before || s.name == "/" {
		return nil
	}
	fi, err := w.box.Root.Lstat(rel)
	if err != nil {
		return fault(s.path, err)
	}
	return w.add(ctx, s, fi, true)
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

// children takes named entries of the directory at rel into the manifest. It
// holds the directory open while it lists files and closes it before it goes
// down, so that depth costs no descriptors.
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
		if dir == nil {
			var err error
			if dir, err = w.box.Root.OpenRoot(rel); err != nil {
				return fault(s.path, err)
			}
		}
		child := source{path.Join(s.path, name), path.Join(s.name, name)}
		fi, err := dir.Lstat(name)
		if err != nil {
			return fault(child.path, err)
		}
		switch {
		case fi.IsDir():
			shut()
			if w.box.Forbidden(fi) {
				continue // the server's own state; nothing of it is anybody's to send
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

// link takes what a link leads to, under the link's own name.
func (w *walker) link(ctx context.Context, s source) error {
	rel, err := w.box.Resolve(s.path, true)
	if err != nil {
		return fault(s.path, err)
	}
	fi, err := w.box.Root.Lstat(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return linkToNothing(s.path, err)
	}
	if err != nil {
		return fault(s.path, err)
	}
	if w.box.Forbidden(fi) {
		return api.Errorf(api.CodeForbidden, "source %s may not be sent: the server keeps its own state there", s.path)
	}
	return w.entry(ctx, w.box.Root, rel, rel, s, fi)
}
