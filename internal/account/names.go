package account

import (
	"context"
	"errors"
	"io"
	"slices"
)

// NamesAfter returns the names of a directory that sort after one name, sorted
// by their bytes and limit at most; more reports whether there are others. It
// reads the whole directory, with at most twice limit names in memory. It ends
// with ctx.
func NamesAfter(ctx context.Context, dir interface {
	Readdirnames(n int) ([]string, error)
}, after string, limit int) (names []string, more bool, err error) {
	shorten := func() {
		slices.Sort(names)
		if len(names) > limit {
			more = true
			clear(names[limit:])
			names = names[:limit]
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		batch, err := dir.Readdirnames(1024)
		for _, name := range batch {
			if name > after {
				names = append(names, name)
			}
		}
		if len(names) >= 2*limit {
			shorten()
		}
		switch {
		case errors.Is(err, io.EOF):
			shorten()
			return names, more, nil
		case err != nil:
			return nil, false, err
		}
	}
}
