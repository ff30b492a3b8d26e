package main

import (
	"fmt"
	"strings"

	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
)

// mirrorFlags are those of a mirror.
type mirrorFlags struct {
	Mirror    bool   `help:"Remove there what is in the directories that the sources become and not in the sources. What --exclude leaves out stays."`
	MaxDelete *int64 `name:"max-delete" placeholder:"N" help:"With --mirror: if more than N files and directories would go, none goes, and the exit status is 1 (1000); 0 permits none."`
}

// check checks the flags beside those of --conflict, --files-from and --delete-source.
func (f *mirrorFlags) check(conflict, filesFrom string, deleteSource bool) error {
	switch {
	case f.Mirror && deleteSource:
		return usagef("--mirror is not for --delete-source: the next transfer would remove there what this one has removed here")
	case f.MaxDelete != nil && !f.Mirror:
		return usagef("--max-delete is for --mirror: give that too")
	case f.MaxDelete != nil && *f.MaxDelete < 0:
		return usagef("--max-delete: %d is negative", *f.MaxDelete)
	case f.Mirror && filesFrom != "":
		return usagef("--mirror is not for --files-from, whose list leaves out what may stay there: give the directory as SOURCE, with --exclude")
	case f.Mirror && conflict == transfer.ConflictRename:
		return usagef("--mirror is not for --conflict rename, which keeps two files where the source has one")
	}
	return nil
}

// set sets the parameters of createTransfer.
func (f *mirrorFlags) set(request map[string]any) {
	request["mirror"] = f.Mirror
	if f.MaxDelete != nil {
		request["maxDelete"] = *f.MaxDelete
	}
}

// printRemoved prints what a mirror would remove.
func printRemoved(b *strings.Builder, plan *transfer.Plan) {
	for _, r := range plan.Removed {
		name := r.DestPath
		if r.IsDir {
			name += "/"
		}
		fmt.Fprintf(b, "%10s  %s\n", "remove", terminal.Printable(name))
	}
	if plan.MoreRemoved {
		fmt.Fprintf(b, "%10s  and %d more\n", "remove", plan.EntriesToRemove-int64(len(plan.Removed)))
	}
}
