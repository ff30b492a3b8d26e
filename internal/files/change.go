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

// MakeDir makes a directory and its missing parents; made is false if it exists
// already. Codes: as List; conflict when something else has that path.
func (s *Service) MakeDir(ctx context.Context, principal Principal, apiPath string) (clean string, made bool, err error) {
	p, err := s.open(ctx, principal, apiPath, account.Write, true)
	if err != nil {
		return "", false, err
	}
	defer p.close()
	fi, err := p.box.Root.Lstat(p.rel)
	switch {
	case err == nil && fi.IsDir():
		return p.path, api.Intended(ctx), nil // of a call that was cut off after it had made it
	case err == nil:
		return "", false, api.Errorf(api.CodeConflict, "%s is there and is no directory; choose another name", api.Quote(p.path))
	case !errors.Is(err, fs.ErrNotExist):
		return "", false, userError(p.path, err)
	}
	for name := range strings.SplitSeq(p.rel, "/") {
		if err := s.checkName(p.path, name); err != nil {
			return "", false, err
		}
	}
	if err := api.Intend(ctx); err != nil {
		return "", false, err
	}
	if err := p.box.Root.MkdirAll(p.rel, 0o755); err != nil {
		return "", false, userError(p.path, err)
	}
	return p.path, true, nil
}

// checkName refuses names that are reserved for part files.
func (s *Service) checkName(at, name string) error {
	if s.o.Receptions.Reserved(name) {
		return api.Errorf(api.CodeInvalid, "path %s holds the name %q, which is reserved for the part files of transfers; choose another", api.Quote(at), name)
	}
	return nil
}

// Move renames a file, directory or link. The directory of the new path must
// exist. If the new path exists it is a conflict, unless overwrite, which lets
// a file or link replace a file or link. Codes: as List; conflict.
func (s *Service) Move(ctx context.Context, principal Principal, apiPath, newPath string, overwrite bool) (clean string, err error) {
	from, err := s.open(ctx, principal, apiPath, account.Write, false)
	if err != nil {
		return "", err
	}
	defer from.close()
	to := &location{box: from.box, partDirs: from.partDirs, principal: principal}
	if to.path, err = account.CleanPath(newPath); err == nil {
		to.rel, err = to.resolve(to.path, false)
	}
	if err != nil {
		return "", err
	}
	fi, err := s.checkMove(from, to)
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
		return "", userError(from.path, err)
	}
	return to.path, nil
}

// checkMove makes the checks of a move that do not depend on what the new path
// is now. It returns the Lstat of the old one.
func (s *Service) checkMove(from, to *location) (os.FileInfo, error) {
	if from.isRoot() || to.isRoot() {
		return nil, api.Errorf(api.CodeInvalid, "%s is the root of your files and stays where it is", api.Quote(from.principal.Within))
	}
	if err := s.checkName(to.path, path.Base(to.rel)); err != nil {
		return nil, err
	}
	fi, err := from.box.Root.Lstat(from.rel)
	if err != nil {
		return nil, userError(from.path, err)
	}
	if err := from.checkNoPartFiles(); err != nil {
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
		return nil, userError(path.Dir(to.path), err)
	}
	if !parent.IsDir() {
		return nil, api.Errorf(api.CodeConflict, "%s is no directory", api.Quote(path.Dir(to.path)))
	}
	return fi, nil
}

// rename moves something to a name that does not exist. If the name comes into
// existence meanwhile, a directory replaces nothing but an empty directory, and
// a file replaces a file only on file systems without hard links.
func rename(root *os.Root, from, to string, fi os.FileInfo) error {
	if fi.IsDir() {
		return root.Rename(from, to)
	}
	err := root.Link(from, to)
	switch {
	case err == nil:
		return removeOldName(root, from, to, fi)
	case errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, there := root.Lstat(to); there == nil {
		return fs.ErrExist
	}
	return root.Rename(from, to)
}

// removeOldName removes the old name of a file that has been linked to the new
// one. If that fails it removes the new name, unless it is another file by now.
func removeOldName(root *os.Root, from, to string, fi os.FileInfo) error {
	err := root.Remove(from)
	if err == nil || errors.Is(err, fs.ErrNotExist) { // gone before
		return nil
	}
	if there, lookErr := root.Lstat(to); lookErr == nil && os.SameFile(fi, there) {
		err = errors.Join(err, root.Remove(to))
	}
	return err
}

// Remove removes a file, a link (not its target) or an empty directory; with
// recursive also a directory with everything below it. removed is the number of
// files, links and directories that were removed. When ctx ends, the rest
// stays. Codes: as List; conflict for a directory that is not empty.
func (s *Service) Remove(ctx context.Context, principal Principal, apiPath string, recursive bool) (clean string, removed int64, err error) {
	release, err := s.acquireWalk(ctx, principal.User)
	if err != nil {
		return "", 0, err
	}
	defer release()
	p, err := s.open(ctx, principal, apiPath, account.Write, false)
	if err != nil {
		return "", 0, err
	}
	defer p.close()
	if p.isRoot() {
		return "", 0, api.Errorf(api.CodeInvalid, "%s is the root of your files and cannot be removed; name what is in it", api.Quote(p.principal.Within))
	}
	fi, err := p.box.Root.Lstat(p.rel)
	if err != nil {
		return "", 0, userError(p.path, err)
	}
	if err := p.checkNoPartFiles(); err != nil {
		return "", 0, err
	}
	r := &remover{o: &s.o}
	if !fi.IsDir() {
		err := r.remove(p.box.Root, p.rel, p.path)
		return p.path, r.removed, err
	}
	if !recursive {
		if err := checkEmpty(p, fi); err != nil {
			return "", 0, err
		}
		err := r.remove(p.box.Root, p.rel, p.path)
		return p.path, r.removed, err
	}
	err = r.directory(ctx, p.box.Root, p.rel, p.path, fi, 1)
	return p.path, r.removed, err
}

func checkEmpty(p *location, fi os.FileInfo) error {
	dir, err := openDir(p.box.Root, p.rel, fi)
	if err != nil {
		return userError(p.path, err)
	}
	defer dir.Close()
	names, err := readNames(dir)
	if err != nil {
		return userError(p.path, err)
	}
	if len(names) > 0 {
		return api.Errorf(api.CodeConflict, "the directory %s is not empty; give recursive to remove it with all that is in it", api.Quote(p.path))
	}
	return nil
}
