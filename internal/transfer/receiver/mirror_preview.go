package receiver

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

const (
	// maxPreview is how many entries the list of a dry run with mirror has.
	maxPreview = 10_000_000
	// maxNamed is how many entries that would be removed a dry run names.
	maxNamed = 1000
	// maxRemovalBytes is the size of the JSON of the entries in one message.
	maxRemovalBytes = 60 << 10
)

// previewer finds what a mirror would remove after a dry run. Of the list it keeps the
// hashes of the paths. One that is nil does nothing.
type previewer struct {
	s           *session
	roots       rootCounter
	files, dirs []int64 // folds
	failed      int64   // entries that would be refused
}

func newPreviewer(s *session) *previewer {
	if s.row.Mirror == nil {
		return nil
	}
	return &previewer{s: s, roots: rootCounter{roots: map[string]*root{}}}
}

// add takes an entry of the list.
func (p *previewer) add(f *transfer.RecvFile) error {
	if p == nil {
		return nil
	}
	if f.Error != "" {
		p.failed++
		return nil
	}
	if len(p.files)+len(p.dirs) >= maxPreview {
		return failf(nil, "a dry run with mirror takes %d entries: leave mirror out to see what would be sent", maxPreview)
	}
	at := *f
	if err := p.s.place.locate(&at); err != nil {
		return err
	}
	if f.Dir {
		p.dirs = append(p.dirs, at.Fold)
	} else {
		p.files = append(p.files, at.Fold)
	}
	err := p.roots.add(f, at.Real)
	if w, ok := errors.AsType[*withheldError](err); ok {
		return failf(w.cause, "%s", w.reason)
	}
	return err
}

// run sends the sender what would be removed.
func (p *previewer) run(ctx context.Context) error {
	if p == nil {
		return nil
	}
	last := wire.Removal{Entries: []wire.Removed{}}
	size := 0
	found := func(r transfer.Removal) error {
		if last.Count++; last.Count > maxNamed {
			return nil
		}
		e := wire.Removed{Name: wire.Name(r.Name), Dir: r.Dir, Size: r.Size}
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if size += len(b) + 1; size > maxRemovalBytes {
			if err := p.s.conn.Send(wire.TypeRemoval, wire.Removal{Entries: last.Entries}); err != nil {
				return err
			}
			last.Entries, size = last.Entries[:0], len(b)+1
		}
		last.Entries = append(last.Entries, e)
		return nil
	}
	err := p.find(ctx, found)
	if most := p.s.row.Mirror.MaxDelete; err == nil && last.Count > most {
		err = tooMany(last.Count, most)
	}
	if w, ok := errors.AsType[*withheldError](err); ok {
		last.Fault, err = wire.Clean(w.reason), nil
	}
	if err != nil {
		return err
	}
	return p.s.conn.Send(wire.TypeRemoval, last)
}

// find calls found with what would be removed.
func (p *previewer) find(ctx context.Context, found func(transfer.Removal) error) error {
	m := p.s.row.Mirror
	if m.Fault != "" {
		return withhold(nil, "at the sender: %s", m.Fault)
	}
	if p.failed > 0 {
		return withhold(nil, "%s would be refused", entries(p.failed))
	}
	roots := p.roots.list()
	if err := checkRoots(roots); err != nil {
		return err
	}
	pruner, err := p.s.r.newPruner(ctx, p.s.place, m)
	if err != nil {
		return err
	}
	slices.Sort(p.files)
	slices.Sort(p.dirs)
	pruner.known = func(rels []string, _ []fs.FileInfo) ([]listed, error) {
		is := make([]listed, len(rels))
		for i, rel := range rels {
			f := fold(rel)
			if _, ok := slices.BinarySearch(p.files, f); ok {
				is[i] = listedFile
			} else if _, ok := slices.BinarySearch(p.dirs, f); ok {
				is[i] = listedDir
			}
		}
		return is, nil
	}
	f := &finisher{r: p.s.r, in: p.s.in, row: &transfer.RecvTransfer{Root: p.s.box.Dir, Mirror: m}}
	others, err := f.others(ctx)
	if err != nil {
		return err
	}
	pruner.foreign = func(rels []string) ([]bool, error) { return f.foreign(ctx, others, rels) }
	pruner.found = found
	roots = slices.DeleteFunc(roots, func(r *root) bool { _, err := p.s.place.root.Lstat(r.real); return errors.Is(err, fs.ErrNotExist) })
	return pruner.run(roots)
}
