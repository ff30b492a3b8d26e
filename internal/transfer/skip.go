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
// and no directory, whoever reads it, or could not be read.
type SkippedFile struct {
	Index  int64  // its position among the skipped entries, from 0 without gaps
	Source string // its path in the owner's API
	Reason string // what it is, worded to follow "is"
}

// skip records that an entry is left out, unless the filter leaves it out.
func (w *walker) skip(ctx context.Context, s source, reason string) error {
	if !w.mayKeep(s.name) {
		return nil
	}
	return w.record(ctx, s, reason)
}

// mayKeep reports whether the filter keeps what is at a name, be it a file or a
// directory.
func (w *walker) mayKeep(name string) bool {
	return w.filter.Keep(name, false) || w.filter.Keep(name, true)
}

// fault is called when an entry cannot be read because of err; fi is what it is,
// nil if that is not known. It returns the error of the walk, or leaves the entry
// out and returns nil.
func (w *walker) fault(ctx context.Context, s source, fi fs.FileInfo, err error) error {
	if fi == nil && !w.mayKeep(s.name) || fi != nil && !w.filter.Keep(s.name, fi.IsDir()) {
		return nil
	}
	reason, ok := unreadable(err)
	if !w.continueOnError || !ok {
		return sourceError(s.path, err)
	}
	w.unread++
	return w.record(ctx, s, reason)
}

// unreadable returns what an entry is that cannot be read because of err; not ok
// if err is none of the entry but of the whole walk.
func unreadable(err error) (reason string, ok bool) {
	if e, isAPI := errors.AsType[*api.Error](err); isAPI && e.Err == nil {
		return "", false
	}
	for _, temporary := range []error{context.Canceled, context.DeadlineExceeded, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, temporary) {
			return "", false
		}
	}
	errno, _ := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, errReplaced):
		return "something else than it was a moment before", true
	case errors.Is(err, fs.ErrNotExist):
		return "not there", true
	case errors.Is(err, fs.ErrPermission):
		return "unreadable: the server's user has no permission", true
	case errno != 0:
		return "unreadable: " + errno.Error(), true
	}
	return strings.TrimSuffix("unreadable: "+api.SystemReason(err), ": "), true
}

// record records that an entry is left out.
func (w *walker) record(ctx context.Context, s source, reason string) error {
	if w.next+w.skipped >= maxEntries {
		return tooManyEntries()
	}
	w.skippedPage = append(w.skippedPage, SkippedFile{Index: w.skipped, Source: s.path, Reason: reason})
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
