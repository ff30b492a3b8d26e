package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"

	"jetstream/internal/account"
)

const (
	// nameBatch is how many names of a directory are held in memory. A larger
	// directory is read several times.
	nameBatch = 65536
	// lookBatch is how many entries of a directory are looked at together, by
	// lookers goroutines at most, each with lookFew or more of them.
	lookBatch = 256
	lookers   = 4
	lookFew   = 16
)

// directory adds the directory at rel, then its contents, sorted by the bytes
// of the names.
func (w *walker) directory(ctx context.Context, rel string, s source) error {
	if slices.Contains(w.inside, rel) {
		return w.skip(ctx, s, skipLoop)
	}
	w.inside = append(w.inside, rel)
	defer func() { w.inside = w.inside[:len(w.inside)-1] }()

	d := &openDir{box: w.box, rel: rel}
	defer d.close()
	if _, err := d.open(); err != nil {
		return w.fault(ctx, s, nil, err)
	}
	if err := w.add(ctx, s, d.info); err != nil {
		return err
	}
	for last := ""; ; {
		names, more, err := d.names(ctx, last)
		if err != nil {
			return w.fault(ctx, s, nil, err)
		}
		for batch := range slices.Chunk(names, lookBatch) {
			if err := w.children(ctx, d, s, batch); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
		last = names[len(names)-1]
	}
}

// openDir is a directory that is open while its entries are looked at. It is
// closed before the walk enters another, so that the number of open files does
// not depend on the depth.
type openDir struct {
	box *account.Sandbox
	rel string

	dir  *os.Root // nil while it is closed
	info fs.FileInfo
}

// open opens the directory, unless it is open.
func (d *openDir) open() (*os.Root, error) {
	if d.dir != nil {
		return d.dir, nil
	}
	dir, err := d.box.Root.OpenRoot(d.rel)
	if err != nil {
		return nil, err
	}
	d.dir = dir
	if d.info, err = dir.Stat("."); err != nil {
		return nil, err
	}
	if d.box.Forbidden(d.info) { // a link to it has taken the place of the directory
		return nil, errReplaced
	}
	return dir, nil
}

func (d *openDir) close() {
	if d.dir != nil {
		_ = d.dir.Close()
		d.dir = nil
	}
}

// names reads the next batch of names.
func (d *openDir) names(ctx context.Context, after string) (names []string, more bool, err error) {
	dir, err := d.open()
	if err != nil {
		return nil, false, err
	}
	f, err := dir.Open(".")
	if err != nil {
		return nil, false, err
	}
	names, more, err = account.NamesAfter(ctx, f, after, nameBatch)
	return names, more, errors.Join(err, f.Close())
}

// seen is what was found at a name.
type seen struct {
	info fs.FileInfo
	err  error
}

// look looks at the named entries, except those with part files, which may go
// away at any time.
func (d *openDir) look(names []string) ([]seen, error) {
	dir, err := d.open()
	if err != nil {
		return nil, err
	}
	handle, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	found := make([]seen, len(names))
	some := func(from, to int) {
		for i, name := range names[from:to] {
			if IsStaging(name) {
				continue
			}
			f := &found[from+i]
			if f.info, f.err = dir.Lstat(name); f.err == nil && f.info.Mode().IsRegular() {
				f.err = readable(dir, handle, name)
			}
		}
	}
	n := min(lookers, max(1, len(names)/lookFew))
	var others sync.WaitGroup
	for i := range n - 1 {
		others.Go(func() { some(len(names)*i/n, len(names)*(i+1)/n) })
	}
	some(len(names)*(n-1)/n, len(names))
	others.Wait()
	return found, handle.Close()
}

// children adds the named entries of a directory.
func (w *walker) children(ctx context.Context, d *openDir, s source, names []string) error {
	found, err := d.look(names)
	if err != nil {
		return w.fault(ctx, s, nil, err)
	}
	d.close()
	for i, name := range names {
		child := source{path.Join(s.path, name), path.Join(s.name, name)}
		fi, err := found[i].info, found[i].err
		switch {
		case IsStaging(name):
			err = w.skip(ctx, child, skipPartFiles)
		case err != nil:
			err = w.fault(ctx, child, fi, err)
		case w.box.Forbidden(fi):
			continue // a secret directory, which cannot be sent
		case fi.Mode()&fs.ModeSymlink != 0:
			err = w.link(ctx, child)
		default:
			err = w.entry(ctx, path.Join(d.rel, name), child, fi)
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
		return w.skip(ctx, s, skipPartFiles)
	}
	var fi fs.FileInfo
	if err == nil {
		fi, err = inspect(w.box.Root, rel)
	}
	if err != nil {
		if fault := linkFault(err); fault != "" {
			return w.skip(ctx, s, fault)
		}
		return w.fault(ctx, s, fi, err)
	}
	if w.box.Forbidden(fi) {
		return w.skip(ctx, s, skipOutside)
	}
	return w.entry(ctx, rel, s, fi)
}
