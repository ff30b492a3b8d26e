package files

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"syscall"

	"jetstream/internal/api"
)

// fault says for people what the file system refused at a path of the user's.
// The cause, which knows the server's own paths, is kept for the log.
func fault(apiPath string, err error) error {
	if _, ok := errors.AsType[*api.Error](err); ok || err == nil ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	at := api.Quote(apiPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return api.Wrap(err, api.CodeNotFound, "there is nothing at %s", at)
	case errors.Is(err, fs.ErrPermission):
		return api.Wrap(err, api.CodeForbidden, "the server's user is not permitted to do that at %s; its rights on the host decide", at)
	case errors.Is(err, syscall.ENAMETOOLONG):
		return api.Wrap(err, api.CodeInvalid, "the path %s has a name that is too long for the file system; choose a shorter one", at)
	case errors.Is(err, syscall.ENOSPC):
		return api.Wrap(err, api.CodeUnavailable, "the disk that holds %s is full; make room and try again", at)
	}
	return api.Wrap(err, api.CodeConflict, "the file system refuses that at %s: %s", at,
		cmp.Or(api.SystemReason(err), "the server's log says why"))
}
