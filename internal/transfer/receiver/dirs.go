package receiver

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

const (
	// dirWhileFilled is the mode of a directory of the transfer until everything
	// is in it.
	dirWhileFilled = 0o700
	// dirOnTheWay is the mode of a directory that is made for what lies in it
	// and that the sender has no counterpart of.
	dirOnTheWay = 0o750
	// allDirs is behind the index of every entry.
	allDirs = math.MaxInt64
)

// resolve returns the path of a directory without links, as far as it exists when it is
// first asked for.
// Links inside the sandbox are followed; one that leaves it ends the transfer.
func (p *placer) resolve(userDir string) (rel string, err error) {
	if userDir == p.box.Path() {
		return ".", nil
	}
	if !api.PathWithin(p.box.Path(), userDir) {
		return "", failf(nil, "the token of the login is confined to %s, and %s lies outside: give a destinationPath inside", api.Quote(p.box.Path()), api.Quote(userDir))
	}
	if rel, ok := p.dirs[userDir]; ok {
		return rel, nil
	}
	parent, err := p.resolve(path.Dir(userDir))
	if err != nil {
		return "", err
	}
	rel = path.Join(parent, path.Base(userDir))
	info, err := p.root.Lstat(rel)
	missing := errors.Is(err, fs.ErrNotExist)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		rel, err = p.box.Resolve(userDir, true)
		if e, ok := errors.AsType[*api.Error](err); ok {
			return "", failf(e.Err, "%s", e.Message)
		}
		if err == nil {
			info, err = p.root.Stat(rel)
		}
	}
	if err != nil && !missing {
		return "", diskError(err, "the directory "+api.Quote(userDir))
	}
	if !missing && !info.IsDir() {
		return "", failf(nil, "%s is in the way of a directory of that name", api.Quote(userDir))
	}
	if len(p.dirs) >= maxDirs {
		clear(p.dirs)
	}
	p.dirs[userDir] = rel
	return rel, nil
}

// nearest returns the path without links of the directory or, if that does not
// exist, of the nearest one above it that does.
func (p *placer) nearest(userDir string) (rel string, err error) {
	if rel, err = p.resolve(userDir); err != nil {
		return "", err
	}
	for {
		_, err := p.root.Lstat(rel)
		if rel == "." || !errors.Is(err, fs.ErrNotExist) {
			return rel, diskError(err, "the directory "+api.Quote(path.Join(p.box.Path(), rel)))
		}
		rel = path.Dir(rel)
	}
}

// putDir makes the directory of an entry, unless it exists. It gets its mode
// and time in settle.
func (p *placer) putDir(f *transfer.RecvFile) error {
	what := "the directory " + api.Quote(f.Final)
	err := p.root.Mkdir(f.Real, dirWhileFilled)
	switch {
	case err == nil:
		f.Made = true
		return nil
	case f.Made && errors.Is(err, fs.ErrExist) && p.again[f.Index]: // made before a crash
	case errors.Is(err, fs.ErrExist) || f.Real == ".":
		f.Made = false
	default:
		return diskError(err, what)
	}
	info, err := p.root.Lstat(f.Real)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 { // one to a directory is accepted
		info, err = p.root.Stat(f.Real)
	}
	switch {
	case err != nil:
		return diskError(err, what)
	case !info.IsDir():
		return failf(nil, "%s is in the way of a directory of that name", api.Quote(f.Final))
	case f.Made:
		return nil
	}
	// Another directory of the transfer may be the same one to this file system.
	candidates, err := p.candidates(f.Fold)
	if err != nil {
		return err
	}
	for _, c := range candidates {
		other, err := p.root.Lstat(c.Real)
		if c.Made && c.Index < f.Index && err == nil && os.SameFile(info, other) {
			c.Mode &= f.Mode
			return p.save(c)
		}
	}
	return nil
}

// makeParents makes the directory rel and those above it that are missing.
func (p *placer) makeParents(rel string) error {
	if rel == "." || p.there[rel] {
		return nil
	}
	parent := path.Dir(rel)
	info, err := p.root.Lstat(rel)
	if errors.Is(err, fs.ErrNotExist) {
		if err := p.makeParents(parent); err != nil {
			return err
		}
		err = p.root.Mkdir(rel, dirOnTheWay)
		made := err == nil
		if made || errors.Is(err, fs.ErrExist) {
			p.dirty[parent] = true
			info, err = p.root.Lstat(rel)
		}
		if made && err == nil {
			err = p.setDir(rel, info, p.modes.onTheWay())
		}
	}
	switch {
	case err != nil:
		return diskError(err, "the directory "+api.Quote(path.Join(p.box.Path(), rel)))
	case !info.IsDir():
		return failf(nil, "%s is in the way of a directory of that name", api.Quote(path.Join(p.box.Path(), rel)))
	}
	p.addDirty(parent)
	if len(p.there) >= maxDirs {
		clear(p.there)
	}
	p.there[rel] = true
	return nil
}

// settle gives a directory that the transfer has made its mode and time, once
// everything is in it. It may have been done before a crash.
func (p *placer) settle(f *transfer.RecvFile) error {
	root := p.root
	info, err := root.Lstat(f.Real)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || err == nil && !info.IsDir() {
		// It was removed or replaced, or one above it has already got a mode
		// that keeps this server out, and thus this one has its own.
		return nil
	}
	what := "the directory " + api.Quote(f.Final)
	if err == nil {
		err = tolerateModeless(root.ChtimesDir(f.Real, stamp(f)))
	}
	if err != nil {
		return diskError(err, what)
	}
	p.observe("settle", f.Real)
	dir, err := root.Open(f.Real) // while it is readable
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return diskError(err, what)
	}
	if err := p.setDir(f.Real, info, f.Mode); err != nil {
		return diskError(errors.Join(err, closeDir(dir)), what)
	}
	if dir != nil {
		err = syncDir(dir)
	}
	if err := errors.Join(err, closeDir(dir)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return diskError(err, what)
	}
	if info, err = root.Lstat(f.Real); err == nil {
		p.compare(f, info)
	}
	return nil
}

func closeDir(dir *os.File) error {
	if dir == nil {
		return nil
	}
	return dir.Close()
}

// compare notes if a file system has not taken the mode or the time of an entry.
func (p *placer) compare(f *transfer.RecvFile, info fs.FileInfo) {
	if p.unkept != "" {
		return
	}
	if mode := info.Mode().Perm(); !onWindows && mode != os.FileMode(f.Mode&0o777) {
		p.unkept = fmt.Sprintf("not all modes and times could be kept on the receiver's file system: %s has mode %04o instead of %04o",
			api.Quote(f.Final), mode, f.Mode)
	} else if !sameTime(info.ModTime(), stamp(f)) {
		p.unkept = fmt.Sprintf("not all modes and times could be kept on the receiver's file system: %s has time %s instead of %s",
			api.Quote(f.Final), info.ModTime().UTC().Format(time.RFC3339), stamp(f).UTC().Format(time.RFC3339))
	}
}

// sameTime compares times of files. Their resolution is 2 s on some file
// systems.
func sameTime(a, b time.Time) bool {
	d := a.Sub(b)
	return d > -2*time.Second && d < 2*time.Second
}

// settleAll settles the directories that the transfer has made, the deepest
// first.
func (f *finisher) settleAll(before int64) error {
	for {
		dirs, err := f.r.o.Store.MadeDirs(f.ctx, f.in.key, f.in.id, before, placeBatch)
		if err != nil || len(dirs) == 0 {
			return err
		}
		for i := range dirs {
			d := &dirs[i]
			if d.Placed {
				if err := f.placer.settle(d); err != nil {
					return err
				}
			}
			d.Made = false
		}
		if err := f.save(f.ctx, dirs); err != nil {
			return err
		}
		before = dirs[len(dirs)-1].Index
	}
}
