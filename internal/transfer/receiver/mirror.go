package receiver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/filter"
	"jetstream/internal/transfer/wire"
)

const (
	// maxRoots and maxRootBytes bound the directories in which one mirror removes.
	maxRoots     = 100_000
	maxRootBytes = 32 << 20
	// maxAge is how long before the transfer its list may have been made.
	maxAge = 20 * 365 * 24 * time.Hour
)

// mirrorOf checks what a sender asks for. accepted is when the connection was accepted,
// before the sender has counted the age of the list: so that the list is never taken for
// younger than it is, however long the message was on its way.
func mirrorOf(o wire.Open, accepted time.Time) (*transfer.Mirror, error) {
	m := o.Mirror
	if m == nil {
		return nil, nil
	}
	if m.MaxDelete < 0 || m.Age < 0 || m.Age > maxAge.Microseconds() || o.Conflict == transfer.ConflictRename {
		return nil, &wire.ProtocolError{Reason: "the transfer's settings are malformed"}
	}
	if _, err := filter.New(m.Include, m.Exclude); err != nil {
		return nil, &wire.ProtocolError{Reason: "the filters of the mirror are malformed: " + wire.Clean(err.Error())}
	}
	return &transfer.Mirror{
		MaxDelete: m.MaxDelete, Began: api.TimeOf(accepted.Add(-time.Duration(m.Age) * time.Microsecond)),
		Include: m.Include, Exclude: m.Exclude, Fault: wire.Clean(m.Fault),
	}, nil
}

// sameMirror reports whether a sender asks for the mirror that it has asked for before.
func sameMirror(have *transfer.Mirror, asked *wire.Mirror) bool {
	if have == nil || asked == nil {
		return have == nil && asked == nil
	}
	return have.MaxDelete == asked.MaxDelete
}

// mayMirror returns an error if the user permits no mirror to remove something.
func (r *Receiver) mayMirror(ctx context.Context, username string) error {
	u, err := r.o.Accounts.User(ctx, username)
	if err != nil {
		return err
	}
	if !u.MayDelete {
		return failf(nil, "user %s lets no mirror remove files at the receiver (mayDelete): send without mirror, or have a superuser there permit it", u.Name)
	}
	return nil
}

// mirror removes what is in the directories of the transfer and not in its list. What
// goes is saved before anything is removed.
func (f *finisher) mirror(ctx context.Context) error {
	if f.row.Mirror == nil {
		return nil
	}
	err := f.r.mayMirror(ctx, f.row.Username)
	if err == nil && !f.row.Mirror.Planned {
		err = f.planRemovals(ctx)
	}
	if w, ok := errors.AsType[*withheldError](err); ok {
		return failf(w.cause, "all files were placed, but the mirror removed nothing: %s", w.reason)
	}
	if err != nil {
		return err
	}
	return f.remove(ctx)
}

// planRemovals saves what is to be removed, unless that is too much.
func (f *finisher) planRemovals(ctx context.Context) error {
	m := f.row.Mirror
	if m.Fault != "" {
		return withhold(nil, "at the sender: %s", m.Fault)
	}
	roots, err := f.roots(ctx)
	if err != nil {
		return err
	}
	if err := checkRoots(roots); err != nil {
		return err
	}
	p, err := f.r.newPruner(ctx, f.placer, m)
	if err != nil {
		return err
	}
	others, err := f.others(ctx)
	if err != nil {
		return err
	}
	p.known = f.known(ctx)
	p.foreign = func(rels []string) ([]bool, error) { return f.foreign(ctx, others, rels) }
	if err := f.saveRemovals(ctx, nil, func(tx transfer.RecvTx) error { return tx.DropRemovals(f.in.key, f.in.id) }); err != nil {
		return err // those of a process that was killed while it planned
	}
	count, batch := int64(0), []transfer.Removal(nil)
	p.found = func(r transfer.Removal) error {
		if count++; count > m.MaxDelete {
			return nil
		}
		r.Index = count - 1
		if batch = append(batch, r); len(batch) < placeBatch {
			return nil
		}
		err := f.saveRemovals(ctx, batch, nil)
		batch = batch[:0]
		return err
	}
	if err := p.run(roots); err != nil {
		return err
	}
	if count > m.MaxDelete {
		return tooMany(count, m.MaxDelete)
	}
	f.placer.observe("plan", "removals")
	return f.saveRemovals(ctx, batch, func(tx transfer.RecvTx) error {
		row, err := f.in.stillOpen(tx)
		if err != nil {
			return err
		}
		row.Mirror.Planned = true
		f.row = row
		return tx.SaveRecvTransfer(row)
	})
}

func tooMany(count, most int64) error {
	return withhold(nil, "%s would go, and maxDelete is %d; a dry run says which; give a higher maxDelete if they shall go", entries(count), most)
}

func entries(n int64) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// saveRemovals saves removals, and what and does.
func (f *finisher) saveRemovals(ctx context.Context, list []transfer.Removal, and func(transfer.RecvTx) error) error {
	return f.r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		if and != nil {
			if err := and(tx); err != nil {
				return err
			}
		}
		if len(list) == 0 {
			return nil
		}
		return tx.SaveRemovals(f.in.key, f.in.id, list)
	})
}

// rootCounter collects the directories in which a mirror removes, and counts the files of
// the list in them.
type rootCounter struct {
	roots map[string]*root // by name
	bytes int
}

// add takes an entry of the list, of which real is the path without links.
func (c *rootCounter) add(f *transfer.RecvFile, real string) error {
	if f.Root && f.Dir {
		if c.bytes += len(f.Name) + len(real); len(c.roots) >= maxRoots || c.bytes > maxRootBytes {
			return withhold(nil, "the sources are more directories than a mirror takes: send the one that they are in")
		}
		c.roots[f.Name] = &root{name: f.Name, real: real}
	}
	if f.Dir || len(c.roots) == 0 {
		return nil
	}
	for name := f.Name; name != "/"; {
		name = path.Dir(name)
		if r := c.roots[name]; r != nil {
			r.files++
		}
	}
	return nil
}

// list returns the directories in the order of their names.
func (c *rootCounter) list() []*root {
	list := make([]*root, 0, len(c.roots))
	for _, r := range c.roots {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *root) int { return strings.Compare(a.name, b.name) })
	return list
}

// checkRoots returns an error if a source is empty.
func checkRoots(roots []*root) error {
	for _, r := range roots {
		if r.files == 0 {
			return withhold(nil, "the source of %s has no files, as if its disk were not mounted; "+
				"to empty the directory, remove what is in it at the receiver", api.Quote(r.name))
		}
	}
	return nil
}

// roots returns the directories in which the mirror removes. It chooses Real of the
// entries that have none, since they were skipped: so that what they name stays.
func (f *finisher) roots(ctx context.Context) ([]*root, error) {
	c := rootCounter{roots: map[string]*root{}}
	var named []transfer.RecvFile
	for e, err := range f.r.o.Store.RecvFiles(ctx, f.in.key, f.in.id, 0) {
		if err != nil {
			return nil, err
		}
		if e.Real == "" {
			if err := f.placer.locate(&e); err != nil {
				return nil, err
			}
			named = append(named, e)
		}
		if err := c.add(&e, e.Real); err != nil {
			return nil, err
		}
		if len(named) == commitBatch {
			if err := f.save(ctx, named); err != nil {
				return nil, err
			}
			named = named[:0]
		}
	}
	if len(named) > 0 {
		if err := f.save(ctx, named); err != nil {
			return nil, err
		}
	}
	return c.list(), nil
}

// locate sets Real and Fold of an entry that gets no final name, since what is there has
// been kept.
func (p *placer) locate(f *transfer.RecvFile) error {
	final := p.path(f.Name)
	if final == p.box.Path() {
		f.Real = "."
		return nil
	}
	dir, err := p.resolve(path.Dir(final))
	if err == nil {
		f.Real = path.Join(dir, path.Base(final))
		f.Fold = fold(f.Real)
	}
	return err
}

// known looks names up among the entries of the transfer. Names that differ in case, say,
// are those of one entry if the file system says so.
func (f *finisher) known(ctx context.Context) func(rels []string, infos []fs.FileInfo) ([]listed, error) {
	return func(rels []string, infos []fs.FileInfo) ([]listed, error) {
		folds := foldAll(rels)
		byFold, err := f.lookUp(ctx, f.in.key, f.in.id, folds)
		if err != nil {
			return nil, err
		}
		found := make([]listed, len(rels))
		for i, rel := range rels {
			for _, e := range byFold[folds[i]] {
				same := e.Real == rel
				if !same && infos[i] != nil {
					other, err := f.placer.root.Lstat(e.Real)
					if isExhausted(err) {
						return nil, err
					}
					same = err == nil && os.SameFile(infos[i], other)
				}
				switch {
				case !same:
				case !e.Dir:
					found[i] = listedFile
				case found[i] == unlisted:
					found[i] = listedDir
				}
			}
		}
		return found, nil
	}
}

func foldAll(rels []string) []int64 {
	folds := make([]int64, len(rels))
	for i, rel := range rels {
		folds[i] = fold(rel)
	}
	return folds
}

// lookUp returns the entries of a transfer with some values of Fold, by these.
func (f *finisher) lookUp(ctx context.Context, key, id string, folds []int64) (map[int64][]transfer.RecvFile, error) {
	most := len(folds) + maxCandidates
	list, err := f.r.o.Store.KnownFiles(ctx, key, id, folds, most)
	if err != nil {
		return nil, err
	}
	if len(list) == most {
		return nil, withhold(nil, "more than %d names of a transfer differ only in case or Unicode form", maxCandidates)
	}
	byFold := make(map[int64][]transfer.RecvFile, len(list))
	for _, e := range list {
		byFold[e.Fold] = append(byFold[e.Fold], e)
	}
	return byFold, nil
}

// others returns the other transfers that were under way when the walk began, or are now,
// into sandboxes that overlap with this one.
func (f *finisher) others(ctx context.Context) ([]transfer.RecvTransfer, error) {
	list, err := f.r.o.Store.RecvSince(ctx, f.row.Mirror.Began)
	return slices.DeleteFunc(list, func(t transfer.RecvTransfer) bool {
		overlap := t.Root != "" && (relative(t.Root, f.row.Root) != "" || relative(f.row.Root, t.Root) != "")
		return !overlap || t.TransferID == f.in.id && t.SourcePublicKey == f.in.key
	}), err
}

// relative returns the slash-separated path of place below dir, "." for dir itself; "" if
// it is elsewhere.
func relative(dir, place string) string {
	rel, err := filepath.Rel(dir, place)
	if err != nil || !filepath.IsLocal(rel) {
		return ""
	}
	return filepath.ToSlash(rel)
}

// foreign reports which names other transfers have given a file or are about to.
func (f *finisher) foreign(ctx context.Context, others []transfer.RecvTransfer, rels []string) ([]bool, error) {
	is := make([]bool, len(rels))
	for i := range others {
		o := &others[i]
		theirs := make([]string, len(rels))
		for i, rel := range rels {
			theirs[i] = relative(o.Root, filepath.Join(f.row.Root, filepath.FromSlash(rel)))
		}
		folds := foldAll(theirs)
		byFold, err := f.lookUp(ctx, o.SourcePublicKey, o.TransferID, folds)
		if err != nil {
			return nil, err
		}
		for i, rel := range theirs {
			is[i] = is[i] || rel != "" && len(byFold[folds[i]]) > 0
		}
	}
	return is, nil
}
