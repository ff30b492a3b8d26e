package transfer

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"jetstream/internal/api"
)

// StagingPrefix is the prefix of the names of directories with part files.
const StagingPrefix = ".jetstream-"

// IsStaging reports whether a file name is reserved for a directory with the
// part files of an arriving transfer.
func IsStaging(name string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(name), StagingPrefix)
	return ok && len(rest) == 32+1+8 && api.IsID(rest[:32])
}

// inStaging reports whether a slash-separated path leads into or to a directory
// with part files.
func inStaging(p string) bool {
	for name := range strings.SplitSeq(p, "/") {
		if IsStaging(name) {
			return true
		}
	}
	return false
}

// Reasons why an entry is left out of a manifest.
const (
	skipPartFiles = "part files of an arriving transfer"
	skipDangling  = "a link to something that does not exist"
	skipLoop      = "a link that leads back to a directory it lies in"
	skipCircle    = "a link that leads round in a circle, or through too many links"
	skipOutside   = "a link that leads out of the sandbox, or to the server's own state"
)

// SkippedFile is an entry that is left out of a manifest, since it is no file
// and no directory, whoever reads it.
type SkippedFile struct {
	Index  int64  // its position among the skipped entries, from 0 without gaps
	Source string // its path in the owner's API
	Reason string // what it is, worded to follow "is"
}

// skip records that an entry is left out.
func (w *walker) skip(ctx context.Context, source, reason string) error {
	if w.next+w.skipped >= maxEntries {
		return tooManyEntries()
	}
	w.skippedPage = append(w.skippedPage, SkippedFile{Index: w.skipped, Source: source, Reason: reason})
	w.skipped++
	if len(w.skippedPage) >= w.e.o.PageSize {
		return w.flush(ctx)
	}
	return nil
}

// linkFault returns why a link whose path failed to resolve with err is left
// out; empty if err says nothing about the link itself, such as a directory
// that the server may not read.
func linkFault(err error) string {
	switch e := api.ErrorOf(err); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ENOTDIR):
		return skipDangling
	case errors.Is(err, syscall.ELOOP):
		return skipCircle
	case e.Err != nil:
		return ""
	case e.Code == api.CodeForbidden:
		return skipOutside
	}
	return skipCircle
}

// kindOf returns what a file is that is neither regular nor a directory.
func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "no regular file"
}

// SkippedFiles lists what a manifest leaves out, from index from and limit at
// most; next is the index that the next page begins with, 0 at the end. Codes:
// notFound.
func (e *Engine) SkippedFiles(ctx context.Context, caller api.Caller, manifestID string, from int64, limit int) (list []SkippedFile, next int64, err error) {
	if _, err := e.Manifest(ctx, caller, manifestID); err != nil {
		return nil, 0, err
	}
	list, err = e.o.Store.SkippedFiles(ctx, manifestID, from, limit+1) // one more, to know whether there is a next page
	if len(list) > limit {
		list, next = list[:limit], list[limit].Index
	}
	return list, next, err
}
