package transfer

import (
	"context"
	"math"
	"os"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

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

// Open opens a file of a manifest for reading. Messages of errors name its path
// in the owner's API. Codes: notFound, forbidden, conflict when its size or
// modification time are not those in the manifest.
func (s *Sources) Open(f ManifestFile) (*os.File, os.FileInfo, error) {
	rel, err := s.box.Resolve(f.Source, true)
	if err != nil {
		return nil, nil, sourceError(f.Source, err)
	}
	file, err := s.box.Root.OpenFile(rel, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, nil, sourceError(f.Source, err)
	}
	fi, err := file.Stat()
	if err == nil {
		err = checkUnchanged(f, fi)
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, sourceError(f.Source, err)
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
		return api.Errorf(api.CodeConflict, "source %s has changed since the manifest was made: create a new manifest", f.Source)
	}
	return nil
}
