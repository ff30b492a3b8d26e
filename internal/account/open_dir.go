package account

import (
	"cmp"
	"errors"
	"os"
	"strings"
)

// ErrLink reports that a path leads through a link.
var ErrLink = errors.New("the path leads through a link")

// OpenDir opens a directory of the API that is reached without following a link below
// the sandbox. It must be closed. Codes: those of Resolve; ErrLink.
func (b *Sandbox) OpenDir(apiPath string) (*os.Root, error) {
	rel, err := b.Resolve(apiPath, true)
	if err != nil {
		return nil, err
	}
	clean, err := CleanPath(apiPath)
	if err != nil {
		return nil, err
	}
	if rel != cmp.Or(strings.Join(splitNames(strings.TrimPrefix(clean, b.prefix)), "/"), ".") {
		return nil, ErrLink
	}
	return b.Root.OpenRoot(rel)
}
