package transfer

import (
	"context"
	"errors"
	"math"
	"os"
	"path"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// ErrChanged is the cause of the error of a file that is not as in the manifest.
var ErrChanged = errors.New("the file is not as in the manifest")

// Sources opens the files of a manifest in its owner's sandbox. Safe for
// concurrent use. It must be closed.
type Sources struct{ box *account.Sandbox }

// Sources opens the sandbox with the files of a transfer, or the part of it
// that the manifest is confined to. Codes: those of account.Service.Sandbox,
// notFound when the owner was removed and forbidden when disabled.
func (e *Engine) Sources(ctx context.Context, t *Transfer) (*Sources, error) {
	if _, err := e.entitled(ctx, t.Owner); err != nil {
		return nil, err
	}
	m, err := e.o.Store.Manifest(ctx, t.ManifestID)
	if err != nil {
		return nil, err
	}
	if m.Owner != t.Owner { // a later user of the same name
		return nil, ownerRemoved(t.Owner)
	}
	box, err := e.o.Accounts.Confined(ctx, t.Owner, m.Confined, account.Read)
	if err != nil {
		return nil, err
	}
	return &Sources{box}, nil
}

// Close closes the sandbox. Opened files stay open.
func (s *Sources) Close() error { return s.box.Close() }

// Opener opens files of a manifest one after the other. It keeps the directory
// of the last one open, since the next is mostly in it too. It is for one
// goroutine and must be closed.
type Opener struct {
	s    *Sources
	path string   // of dir in the owner's API
	dir  *os.Root // nil: none is open
}

// Opener returns an Opener, which must be closed before s.
func (s *Sources) Opener() *Opener { return &Opener{s: s} }

// Close closes the directory. Opened files stay open.
func (o *Opener) Close() {
	if o.dir != nil {
		_ = o.dir.Close()
		o.dir = nil
	}
}

// Open opens a file of a manifest for reading. Messages of errors name its path
// in the owner's API. Codes: notFound, forbidden, conflict when it cannot be read, and
// with the cause ErrChanged when its size or modification time are not those in f.
func (o *Opener) Open(f ManifestFile) (*os.File, error) {
	file, fi, err := o.open(f)
	if err != nil {
		return nil, err
	}
	if err := checkUnchanged(f, fi); err != nil {
		_ = file.Close()
		return nil, sourceError(f.Source, err)
	}
	return file, nil
}

// Stat returns f as its file is now, and the state of that before it is read. Codes: those of Open; conflict when it is no file
// any more.
func (o *Opener) Stat(f ManifestFile) (ManifestFile, FileState, error) {
	file, fi, err := o.open(f)
	if err != nil {
		return f, FileState{}, err
	}
	_ = file.Close()
	if !fi.Mode().IsRegular() {
		return f, FileState{}, api.Errorf(api.CodeConflict, "source %s is no longer a file: create a new manifest", f.Source)
	}
	f.Size, f.Mode, f.ModTime = fi.Size(), uint32(fi.Mode().Perm()), nanoseconds(fi.ModTime())
	state, ok := StateBeforeReading(fi)
	if !ok {
		state = FileState{} // which no file has
	}
	return f, state, nil
}

func (o *Opener) open(f ManifestFile) (*os.File, os.FileInfo, error) {
	file, fi := o.beside(f)
	if file == nil {
		var err error
		if file, fi, err = o.s.open(f); err != nil {
			return nil, nil, sourceError(f.Source, err)
		}
	}
	return file, fi, nil
}

// beside opens a file that is no link in the directory that is open, or opens
// the directory. It returns nil if it cannot.
func (o *Opener) beside(f ManifestFile) (*os.File, os.FileInfo) {
	dir, name := path.Split(f.Source)
	if o.dir == nil || o.path != dir {
		o.Close()
		rel, err := o.s.box.Resolve(dir, true)
		if err != nil {
			return nil, nil
		}
		if o.dir, err = o.s.box.Root.OpenRoot(rel); err != nil {
			return nil, nil
		}
		o.path = dir
	}
	named, err := o.dir.Lstat(name)
	if err != nil || !named.Mode().IsRegular() {
		return nil, nil
	}
	file, err := o.dir.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, nil
	}
	fi, err := file.Stat()
	if err != nil || !os.SameFile(named, fi) {
		_ = file.Close()
		return nil, nil
	}
	return file, fi
}

// open opens a file by its whole path.
func (s *Sources) open(f ManifestFile) (*os.File, os.FileInfo, error) {
	rel, err := s.box.Resolve(f.Source, true)
	if err != nil {
		return nil, nil, err
	}
	file, err := s.box.Root.OpenFile(rel, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, nil, err
	}
	fi, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, fi, nil
}

// nanoseconds returns a time in nanoseconds since the Unix epoch. Those before
// 1677 and after 2262 become the first and the last that can be expressed.
func nanoseconds(t time.Time) int64 {
	switch s := t.Unix(); {
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	case s <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	}
	return t.UnixNano()
}

// Unchanged reports whether a file is still as the manifest says.
func Unchanged(f ManifestFile, fi os.FileInfo) bool {
	if f.Dir {
		return fi.IsDir()
	}
	return fi.Mode().IsRegular() && fi.Size() == f.Size && nanoseconds(fi.ModTime()) == f.ModTime
}

func checkUnchanged(f ManifestFile, fi os.FileInfo) error {
	if !Unchanged(f, fi) {
		return api.Wrap(ErrChanged, api.CodeConflict, "source %s has changed since the manifest was made: create a new manifest", f.Source)
	}
	return nil
}
