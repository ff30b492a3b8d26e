package files

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"syscall"

	"jetstream/internal/api"
)

// userError turns an error of the file system into one whose message names the
// path as the user knows it. The original error, which contains the server's
// path, is only for the log.
func userError(apiPath string, err error) error {
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
		return api.Wrap(err, api.CodeUnavailable, "the disk that holds %s is full; free some space and try again", at)
	}
	return api.Wrap(err, api.CodeConflict, "the file system refuses that at %s: %s", at,
		cmp.Or(api.SystemReason(err), "the server's log says why"))
}
