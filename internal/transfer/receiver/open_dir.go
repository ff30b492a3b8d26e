package receiver

import (
	"errors"
	"io/fs"
	"os"
	"path"
)

// openDir is an opened directory.
type openDir struct {
	root *os.Root
	dir  *os.File
}

func (d *openDir) close() {
	if d != nil {
		_ = errors.Join(d.root.Close(), d.dir.Close())
	}
}

func newOpenDir(root tree, rel string) *openDir {
	dir, err := root.OpenRoot(rel)
	if err != nil {
		return nil
	}
	file, err := dir.Open(".")
	if err != nil {
		_ = dir.Close()
		return nil
	}
	return &openDir{dir, file}
}

// openDir opens the staging directory or one for files, unless it is the one that was
// opened last; nil if it cannot be opened.
func (p *placer) openDir(rel string) *openDir {
	if rel == p.staging {
		if p.parts == nil {
			p.parts = newOpenDir(p.root, rel)
		}
		return p.parts
	}
	if p.last == nil || p.lastAt != rel {
		p.last.close()
		p.last, p.lastAt = newOpenDir(p.root, rel), rel
	}
	return p.last
}

// close closes the directories.
func (p *placer) close() {
	p.parts.close()
	p.last.close()
	p.parts, p.last = nil, nil
}

// lstat is tree.Lstat.
func (p *placer) lstat(rel string) (fs.FileInfo, error) {
	if d := p.openDir(path.Dir(rel)); d != nil {
		return d.root.Lstat(path.Base(rel))
	}
	return p.root.Lstat(rel)
}

// rename is tree.Rename.
func (p *placer) rename(from, to string) error {
	if a, b := p.openDir(path.Dir(from)), p.openDir(path.Dir(to)); a != nil && b != nil {
		if err := renameAt(a.dir, path.Base(from), b.dir, path.Base(to)); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return p.root.Rename(from, to)
}
