package receiver

import (
	"context"
	"path/filepath"
)

// PartDirs lists the directories that hold part files of received transfers,
// absolute and without links. Nobody else may move or remove them.
func (r *Receiver) PartDirs(ctx context.Context) ([]string, error) {
	rows, err := r.o.Store.Receiving(ctx)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, row := range rows {
		if row.Staging != "" {
			dirs = append(dirs, filepath.Join(row.Root, filepath.FromSlash(row.Staging)))
		}
	}
	return dirs, nil
}

// Reserved tells whether a file name has the form of such a directory's.
func (r *Receiver) Reserved(name string) bool { return isStaging(name) }
