package receiver

import (
	"errors"
	"io/fs"
	"os"
	"path"
)

// handle is an opened directory.
type handle struct {
	root *os.Root
	dir  *os.File
}

func (h *handle) close() {
	if h != nil {
		_ = errors.Join(h.root.Close(), h.dir.Close())
	}
}

func openHandle(root tree, rel string) *handle {
	dir, err := root.OpenRoot(rel)
	if err != nil {
		return nil
	}
	file, err := dir.Open(".")
	if err != nil {
		_ = dir.Close()
		return nil
	}
	return &handle{dir, file}
}

// handle returns that of the staging directory or of one for files, of which the last
// one stays open; nil if it cannot be opened.
func (p *placer) handle(rel string) *handle {
	if rel == p.staging {
		if p.parts == nil {
			p.parts = openHandle(p.root, rel)
		}
		return p.parts
	}
	if p.last == nil || p.lastAt != rel {
		p.last.close()
		p.last, p.lastAt = openHandle(p.root, rel), rel
	}
	return p.last
}

// close closes the handles.
func (p *placer) close() {
	p.parts.close()
	p.last.close()
	p.parts, p.last = nil, nil
}

// lstat is tree.Lstat.
func (p *placer) lstat(rel string) (fs.FileInfo, error) {
	if h := p.handle(path.Dir(rel)); h != nil {
		return h.root.Lstat(path.Base(rel))
	}
	return p.root.Lstat(rel)
}

// rename is tree.Rename.
func (p *placer) rename(from, to string) error {
	if a, b := p.handle(path.Dir(from)), p.handle(path.Dir(to)); a != nil && b != nil {
		if err := renameAt(a.dir, path.Base(from), b.dir, path.Base(to)); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return p.root.Rename(from, to)
}
