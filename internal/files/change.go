package files

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// MakeDir makes a directory with its missing parents; made is false when it
// was there. Codes: as List; conflict when something else is in the way.
func (s *Service) MakeDir(ctx context.Context, who Who, apiPath string) (clean string, made bool, err error) {
	p, err := s.open(ctx, who, apiPath, account.Write, true)
	if err != nil {
		return "", false, err
	}
	defer p.close()
	fi, err := p.box.Root.Lstat(p.rel)
	switch {
	case err == nil && fi.IsDir():
		return p.path, false, nil
	case err == nil:
		return "", false, api.Errorf(api.CodeConflict, "%s is there and is no directory; choose another name", api.Quote(p.path))
	case !errors.Is(err, fs.ErrNotExist):
		return "", false, fault(p.path, err)
	}
	for name := range strings.SplitSeq(p.rel, "/") {
		if err := s.checkName(p.path, name); err != nil {
			return "", false, err
		}
	}
	if err := p.box.Root.MkdirAll(p.rel, 0o755); err != nil {
		return "", false, fault(p.path, err)
	}
	return p.path, true, nil
}

// checkName refuses names that the receiver keeps for itself.
func (s *Service) checkName(at, name string) error {
	if s.o.Receptions.Reserved(name) {
		return api.Errorf(api.CodeInvalid, "path %s holds the name %q, which is reserved for the part files of transfers; choose another", api.Quote(at), name)
	}
	return nil
}

// Move gives a file, directory or link another path. The new path's directory
// must be there, and nothing at the new path unless overwrite, which replaces
// a file or link by anything but a directory. Codes: as List; conflict.
func (s *Service) Move(ctx context.Context, who Who, apiPath, newPath string, overwrite bool) (clean string, err error) {
	from, err := s.open(ctx, who, apiPath, account.Write, false)
	if err != nil {
		return "", err
	}
	defer from.close()
	to := &place{box: from.box, parts: from.parts, who: who}
	if to.path, err = account.CleanPath(newPath); err == nil {
		to.rel, err = to.resolve(to.path, false)
	}
	if err != nil {
		return "", err
	}
	fi, err := s.movable(from, to)
	if err != nil {
		return "", err
	}
	there, err := to.box.Root.Lstat(to.rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = rename(from.box.Root, from.rel, to.rel, fi)
	case err != nil:
	case os.SameFile(fi, there) && from.rel == to.rel:
	case os.SameFile(fi, there) && strings.EqualFold(from.rel, to.rel), // another case, where that is the same name
		overwrite && !fi.IsDir() && !there.IsDir():
		err = from.box.Root.Rename(from.rel, to.rel)
	case !there.IsDir() && !fi.IsDir():
		err = fs.ErrExist
	default:
		return "", api.Errorf(api.CodeConflict, "%s is there already; newPath is the name that %s gets, not the directory to put it into", api.Quote(to.path), api.Quote(from.path))
	}
	if errors.Is(err, fs.ErrExist) {
		return "", api.Wrap(err, api.CodeConflict, "%s is there already; choose another name or give overwrite", api.Quote(to.path))
	}
	if err != nil {
		return "", fault(from.path, err)
	}
	return to.path, nil
}

// movable checks both ends of a move, as far as they do not depend on what is
// at the new path.
func (s *Service) movable(from, to *place) (os.FileInfo, error) {
	if from.isRoot() || to.isRoot() {
		return nil, api.Errorf(api.CodeInvalid, "%s is the root of your files and stays where it is", api.Quote(from.who.Within))
	}
	if err := s.checkName(to.path, path.Base(to.rel)); err != nil {
		return nil, err
	}
	fi, err := from.box.Root.Lstat(from.rel)
	if err != nil {
		return nil, fault(from.path, err)
	}
	if err := from.free(); err != nil {
		return nil, err
	}
	if fi.IsDir() && strings.HasPrefix(to.rel, from.rel+"/") {
		return nil, api.Errorf(api.CodeInvalid, "%s cannot be moved into itself", api.Quote(from.path))
	}
	parent, err := to.box.Root.Lstat(path.Dir(to.rel))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Wrap(err, api.CodeNotFound, "there is no directory %s; make it with mkdir", api.Quote(path.Dir(to.path)))
	}
	if err != nil {
		return nil, fault(path.Dir(to.path), err)
	}
	if !parent.IsDir() {
		return nil, api.Errorf(api.CodeConflict, "%s is no directory", api.Quote(path.Dir(to.path)))
	}
	return fi, nil
}

// rename moves something to a name that nothing has. A file replaces nothing
// that gets the name meanwhile (one being received, say), where the file
// system has hard links; a directory never does.
func rename(root *os.Root, from, to string, fi os.FileInfo) error {
	if fi.IsDir() {
		return root.Rename(from, to)
	}
	err := root.Link(from, to)
	switch {
	case err == nil:
		return dropOld(root, from, to, fi)
	case errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, there := root.Lstat(to); there == nil {
		return fs.ErrExist
	}
	return root.Rename(from, to)
}

// dropOld takes the old name from a file that has got the new one as well. Where
// that fails the file loses the new one, unless another file has got that since.
func dropOld(root *os.Root, from, to string, fi os.FileInfo) error {
	err := root.Remove(from)
	if err == nil || errors.Is(err, fs.ErrNotExist) { // gone before
		return nil
	}
	if there, lookErr := root.Lstat(to); lookErr == nil && os.SameFile(fi, there) {
		err = errors.Join(err, root.Remove(to))
	}
	return err
}

// Remove removes a file, a link (never what it leads to) or an empty
// directory; with recursive a directory and all that is below it. It ends when
// ctx does, with what was removed until then gone. removed counts files and
// directories. Codes: as List; conflict for a directory that is not empty.
func (s *Service) Remove(ctx context.Context, who Who, apiPath string, recursive bool) (clean string, removed int64, err error) {
	release, err := s.turn(ctx, who.User)
	if err != nil {
		return "", 0, err
	}
	defer release()
	p, err := s.open(ctx, who, apiPath, account.Write, false)
	if err != nil {
		return "", 0, err
	}
	defer p.close()
	if p.isRoot() {
		return "", 0, api.Errorf(api.CodeInvalid, "%s is the root of your files and cannot be removed; name what is in it", api.Quote(p.who.Within))
	}
	fi, err := p.box.Root.Lstat(p.rel)
	if err != nil {
		return "", 0, fault(p.path, err)
	}
	if err := p.free(); err != nil {
		return "", 0, err
	}
	r := &remover{o: &s.o}
	if !fi.IsDir() {
		err := r.remove(p.box.Root, p.rel, p.path)
		return p.path, r.removed, err
	}
	if !recursive {
		if err := empty(p, fi); err != nil {
			return "", 0, err
		}
		err := r.remove(p.box.Root, p.rel, p.path)
		return p.path, r.removed, err
	}
	err = r.directory(ctx, p.box.Root, p.rel, p.path, fi, 1)
	return p.path, r.removed, err
}

func empty(p *place, fi os.FileInfo) error {
	dir, err := openDir(p.box.Root, p.rel, fi)
	if err != nil {
		return fault(p.path, err)
	}
	defer dir.Close()
	names, err := someNames(dir)
	if err != nil {
		return fault(p.path, err)
	}
	if len(names) > 0 {
		return api.Errorf(api.CodeConflict, "the directory %s is not empty; give recursive to remove it with all that is in it", api.Quote(p.path))
	}
	return nil
}
