package files

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// nameBatch is how many names of a directory are read at a time.
const nameBatch = 1024

// Usage is the result of du.
type Usage struct {
	Path             string `json:"path" doc:"The path that was asked for"`
	PathBase64       string `json:"pathBase64,omitempty" doc:"The exact path in base64, where it is not UTF-8"`
	TotalSize        int64  `json:"totalSize" doc:"Bytes of all files; one with several names counts at each"`
	TotalFiles       int64  `json:"totalFiles" doc:"Number of files, links and all else but directories"`
	TotalDirectories int64  `json:"totalDirectories" doc:"Number of directories below the path"`
}

// Usage counts the files and bytes at and below a path. It follows links in the
// path, but none below it. It ends with ctx. Codes: as List; conflict when the
// tree is deeper or larger than the Options allow.
func (s *Service) Usage(ctx context.Context, principal Principal, apiPath string) (Usage, error) {
	release, err := s.acquireWalk(ctx, principal.User)
	if err != nil {
		return Usage{}, err
	}
	defer release()
	p, err := s.open(ctx, principal, apiPath, account.Read, true)
	if err != nil {
		return Usage{}, err
	}
	defer p.close()
	fi, err := p.box.Root.Lstat(p.rel)
	if err != nil {
		return Usage{}, userError(p.path, err)
	}
	c := &counter{box: p.box, o: &s.o, usage: Usage{Path: p.path, PathBase64: api.Base64Unless(p.path)}}
	if !fi.IsDir() {
		c.file(fi)
		return c.usage, nil
	}
	err = c.directory(ctx, p.box.Root, p.rel, p.path, fi, 1)
	return c.usage, err
}

// counter counts one tree for Usage.
type counter struct {
	box     *account.Sandbox
	o       *Options
	usage   Usage
	entries int64
}

func (c *counter) file(fi os.FileInfo) {
	c.usage.TotalFiles++
	if fi.Mode().IsRegular() {
		c.usage.TotalSize += fi.Size()
	}
}

func (c *counter) directory(ctx context.Context, parent *os.Root, name, at string, fi os.FileInfo, depth int) error {
	if depth > c.o.MaxDepth {
		return tooDeep(at, c.o.MaxDepth)
	}
	dir, err := openDir(parent, name, fi)
	if err != nil {
		return userError(at, err)
	}
	defer dir.Close()
	f, err := dir.Open(".")
	if err != nil {
		return userError(at, err)
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(nameBatch)
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := c.child(ctx, dir, name, path.Join(at, name), depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return userError(at, err)
		}
	}
}

func (c *counter) child(ctx context.Context, dir *os.Root, name, at string, depth int) error {
	fi, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		return nil
	case err != nil:
		return userError(at, err)
	case c.box.Forbidden(fi):
		return nil
	}
	if c.entries++; c.entries > c.o.MaxEntries {
		return api.Errorf(api.CodeConflict, "there are more than %d entries below %s; ask for a directory further down", c.o.MaxEntries, api.Quote(c.usage.Path))
	}
	if !fi.IsDir() {
		c.file(fi)
		return nil
	}
	c.usage.TotalDirectories++
	err = c.directory(ctx, dir, name, at, fi, depth+1)
	if errors.Is(err, &api.Error{Code: api.CodeNotFound}) { // removed meanwhile
		return nil
	}
	return err
}

func tooDeep(at string, most int) error {
	return api.Errorf(api.CodeConflict, "%s lies more than %d directories deep; begin with a directory further down", api.Quote(at), most)
}

// remover removes one tree. It follows no links.
type remover struct {
	o       *Options
	removed int64
}

// directory removes the contents of a directory, then the directory itself.
func (r *remover) directory(ctx context.Context, parent *os.Root, name, at string, fi os.FileInfo, depth int) error {
	if depth > r.o.MaxDepth {
		return tooDeep(at, r.o.MaxDepth)
	}
	dir, err := openDir(parent, name, fi)
	if err != nil {
		return userError(at, err)
	}
	defer dir.Close()
	// The directory is read from the beginning after each batch, since file
	// systems differ in what a directory lists after it was changed.
	for idle := 0; ; {
		names, err := readNames(dir)
		if err != nil {
			return userError(at, err)
		}
		before := r.removed
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := r.child(ctx, dir, name, path.Join(at, name), depth); err != nil {
				return err
			}
		}
		if len(names) == 0 {
			break
		}
		if r.removed > before {
			idle = 0
		} else if idle++; idle == 8 {
			return api.Errorf(api.CodeConflict, "%s lists names that cannot be removed; its file system needs a check", api.Quote(at))
		}
	}
	if err := dir.Close(); err != nil { // Windows removes no open directory
		return userError(at, err)
	}
	return r.remove(parent, name, at)
}

func (r *remover) child(ctx context.Context, dir *os.Root, name, at string, depth int) error {
	fi, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return userError(at, err)
	case fi.IsDir():
		return r.directory(ctx, dir, name, at, fi, depth+1)
	}
	return r.remove(dir, name, at)
}

func (r *remover) remove(dir *os.Root, name, at string) error {
	err := dir.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return userError(at, err)
	}
	r.removed++
	return nil
}

// readNames lists the first names of a directory, none if it is empty.
func readNames(dir *os.Root) ([]string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(nameBatch)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, errors.Join(err, f.Close())
}
