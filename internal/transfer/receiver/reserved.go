package receiver

import (
	"context"
	"path/filepath"

	"jetstream/internal/transfer"
)

// PartDirs lists the directories with part files of unfinished transfers, as
// absolute paths without links. They must not be moved or removed.
func (r *Receiver) PartDirs(ctx context.Context) ([]string, error) {
	rows, err := r.o.Store.Receiving(ctx)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, row := range rows {
		if row.Staging != "" && row.Processing {
			dirs = append(dirs, filepath.Join(row.Root, filepath.FromSlash(row.Staging)))
		}
	}
	return dirs, nil
}

// Reserved reports whether a file name has the form of the name of such a
// directory.
func (r *Receiver) Reserved(name string) bool { return transfer.IsStaging(name) }
