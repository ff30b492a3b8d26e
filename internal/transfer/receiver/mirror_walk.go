package receiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/filter"
)

const (
	// nameBatch is how many names of a directory are held in memory. A larger one is
	// read several times.
	nameBatch = 65536
	// lookBatch is how many of them are looked at together.
	lookBatch = 512
)

// What the list of the transfer has of a name.
type listed int

const (
	unlisted listed = iota
	listedFile
	listedDir
)

// root is a directory that a source became, in which a mirror removes.
type root struct {
	name, real string // as those of a RecvFile
	files      int64  // that the list has in it
}

// pruner finds what a mirror removes. It is for one goroutine.
type pruner struct {
	ctx    context.Context //nolint:containedctx // of the call of finish or of the dry run
	box    *account.Sandbox
	tree   tree // of box
	filter *filter.Filter
	began  time.Time // when the walk began, by this server's clock
	// known returns what the list has of names, which are paths without links.
	known func(rels []string, infos []fs.FileInfo) ([]listed, error)
	// foreign reports which names are those of other transfers.
	foreign func(rels []string) ([]bool, error)
	// private holds the folds of the paths of other users' sandboxes.
	private map[int64]bool
	// path returns the API path of a name.
	path func(name string) string
	// found is called with what is removed, in the order of the removal.
	found func(transfer.Removal) error
}

// newPruner returns a pruner without known, foreign and found.
func (r *Receiver) newPruner(ctx context.Context, place *placer, m *transfer.Mirror) (*pruner, error) {
	chosen, err := filter.New(m.Include, m.Exclude)
	if err != nil {
		return nil, err
	}
	p := &pruner{
		ctx: ctx, box: place.box, tree: place.root, filter: chosen, began: m.Began.Std(), path: place.path, private: map[int64]bool{},
	}
	below, err := r.o.Accounts.SandboxesBelow(ctx, place.box.Dir)
	if err != nil {
		return nil, err
	}
	for _, rel := range below {
		p.private[fold(rel)] = true
	}
	return p, nil
}

// run finds what is removed in directories.
func (p *pruner) run(roots []*root) error {
	roots = slices.Clone(roots)
	slices.SortFunc(roots, func(a, b *root) int { return strings.Compare(a.real+"/", b.real+"/") })
	var done []string
	for _, r := range roots {
		if slices.ContainsFunc(done, func(above string) bool { return above == "." || strings.HasPrefix(r.real+"/", above+"/") }) {
			continue
		}
		done = append(done, r.real)
		info, err := p.tree.Lstat(r.real)
		if err != nil {
			return p.unreadable(r.name, err)
		}
		if !info.IsDir() { // a link: what it leads to stays
			continue
		}
		if _, err := p.dir(r.real, strings.TrimSuffix(r.name, "/"), info); err != nil {
			return err
		}
	}
	return nil
}

// unreadable is the error of a directory that cannot be looked through.
func (p *pruner) unreadable(name string, err error) error {
	if isExhausted(err) || p.ctx.Err() != nil {
		return err
	}
	return withhold(err, "the receiver could not look through %s: %s", api.Quote(p.path(name)), cmp.Or(api.SystemReason(err), err.Error()))
}

// dir finds what is removed in the directory rel, which is called name in the list, and
// reports whether something stays in it.
func (p *pruner) dir(rel, name string, info fs.FileInfo) (stays bool, err error) {
	for after := ""; ; {
		names, more, err := p.names(rel, info, after)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errExchanged) {
			return true, nil
		}
		if err != nil {
			return true, p.unreadable(name, err)
		}
		for batch := range slices.Chunk(names, lookBatch) {
			kept, err := p.batch(rel, name, info, batch)
			if err != nil {
				return true, err
			}
			stays = stays || kept
		}
		if !more {
			return stays, nil
		}
		after = names[len(names)-1]
	}
}

// names reads the next names of a directory.
func (p *pruner) names(rel string, info fs.FileInfo, after string) (names []string, more bool, err error) {
	dir, err := p.tree.openDirectly(rel, info)
	if err != nil {
		return nil, false, err
	}
	defer dir.Close()
	f, err := dir.Open(".")
	if err != nil {
		return nil, false, err
	}
	names, more, err = account.NamesAfter(p.ctx, f, after, nameBatch)
	return names, more, errors.Join(err, f.Close())
}

// look looks at names of a directory. What has gone is nil.
func (p *pruner) look(rel string, info fs.FileInfo, names []string) ([]fs.FileInfo, error) {
	dir, err := p.tree.openDirectly(rel, info)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	infos := make([]fs.FileInfo, len(names))
	for i, name := range names {
		if infos[i], err = dir.Lstat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return infos, nil
}

// batch finds what is removed of some names of a directory, and reports whether one of
// them stays.
func (p *pruner) batch(rel, name string, dir fs.FileInfo, names []string) (stays bool, err error) {
	infos, err := p.look(rel, dir, names)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errExchanged) {
		return true, nil
	}
	if err != nil {
		return true, p.unreadable(name, err)
	}
	rels := make([]string, len(names))
	for i, n := range names {
		rels[i] = path.Join(rel, n)
	}
	known, err := p.known(rels, infos)
	if err != nil {
		return true, err
	}
	var unknown []string
	for i := range rels {
		if known[i] == unlisted && infos[i] != nil {
			unknown = append(unknown, rels[i])
		}
	}
	foreign := map[string]bool{}
	if len(unknown) > 0 {
		of, err := p.foreign(unknown)
		if err != nil {
			return true, err
		}
		for i, f := range of {
			foreign[unknown[i]] = f
		}
	}
	for i, info := range infos {
		if info == nil {
			continue
		}
		full := name + "/" + names[i]
		protected := known[i] != unlisted || foreign[rels[i]] || p.protects(rels[i], full, info)
		inside := info.IsDir() && (!protected || known[i] == listedDir && !p.isPrivate(rels[i]))
		if inside {
			kept, err := p.dir(rels[i], full, info)
			if err != nil {
				return true, err
			}
			protected = protected || kept
		}
		if protected {
			stays = true
			continue
		}
		if err := p.found(removal(full, p.path(full), rels[i], info)); err != nil {
			return true, err
		}
	}
	return stays, nil
}

// protects reports whether what is not in the list stays all the same, with all that
// is in it.
func (p *pruner) protects(rel, name string, info fs.FileInfo) bool {
	return isPartFile(path.Base(rel)) || p.box.Forbidden(info) || isNewer(info, p.began) || p.isPrivate(rel) ||
		!p.filter.Keep(name, info.IsDir())
}

func (p *pruner) isPrivate(rel string) bool { return len(p.private) > 0 && p.private[fold(rel)] }

// isPartFile reports whether a name is that of a directory with part files, or of the
// copy of one.
func isPartFile(name string) bool {
	const long = len(transfer.StagingPrefix) + 32 + 1 + 8
	return transfer.IsStaging(name[:min(len(name), long)])
}

// clockTick is how much earlier than it is a kernel may mark a change.
const clockTick = 10 * time.Millisecond

// isNewer reports whether something may have changed since a time. Some file systems
// keep times in units of two seconds.
func isNewer(info fs.FileInfo, than time.Time) bool {
	for _, t := range []time.Time{info.ModTime(), time.Unix(0, changeTime(info))} {
		unit := clockTick
		if t.Nanosecond() == 0 {
			unit = 2 * time.Second
		}
		if t.Add(unit).After(than) {
			return true
		}
	}
	return false
}

// removal describes what is removed.
func removal(name, final, rel string, info fs.FileInfo) transfer.Removal {
	r := transfer.Removal{
		Name: name, Final: final, Real: rel, Dir: info.IsDir(), ModTime: info.ModTime().UnixNano(),
		ChangeTime: changeTime(info), Links: linkCount(info),
	}
	if info.Mode().IsRegular() {
		r.Size = info.Size()
	}
	return r
}

// unchanged reports whether something is still what is to be removed. A file with
// several names changes when one of them is removed.
func unchanged(r *transfer.Removal, info fs.FileInfo) bool {
	if r.Dir || info.IsDir() {
		return r.Dir && info.IsDir()
	}
	now := removal(r.Name, r.Final, r.Real, info)
	if now.Links < r.Links {
		now.Links, now.ChangeTime = r.Links, r.ChangeTime
	}
	return now.Size == r.Size && now.ModTime == r.ModTime && now.ChangeTime == r.ChangeTime
}

// errExchanged is the error of a directory that was replaced while it was opened.
var errExchanged = errors.New("the directory was exchanged")

// openDirectly opens the directory rel without passing through a link. It must be the one
// that info describes, if that is not nil.
func (t tree) openDirectly(rel string, info fs.FileInfo) (*os.Root, error) {
	dir, err := t.Root.OpenRoot(".")
	for part := range strings.SplitSeq(rel, "/") {
		if err != nil {
			return nil, err
		}
		if part == "." {
			continue
		}
		var next *os.Root
		if next, err = openChild(dir, part); err == nil {
			_ = dir.Close()
			dir = next
			continue
		}
		_ = dir.Close()
		if errors.Is(err, fs.ErrPermission) { // one that may be passed through but not read
			err = to(t.Root, rel, err, func(name string) (err error) { dir, err = os.OpenRoot(name); return err })
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if info == nil {
		return dir, nil
	}
	opened, err := dir.Stat(".")
	if err == nil && !os.SameFile(opened, info) {
		err = errExchanged
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// openChild opens a directory in another one, unless it is a link.
func openChild(dir *os.Root, name string) (*os.Root, error) {
	named, err := dir.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !named.IsDir() {
		return nil, errExchanged
	}
	child, err := dir.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	opened, err := child.Stat(".")
	if err == nil && !os.SameFile(named, opened) {
		err = errExchanged
	}
	if err != nil {
		return nil, errors.Join(err, child.Close())
	}
	return child, nil
}

// withheldError says why a mirror removes nothing.
type withheldError struct {
	reason string
	cause  error
}

func (e *withheldError) Error() string { return e.reason }
func (e *withheldError) Unwrap() error { return e.cause }

func withhold(cause error, format string, args ...any) error {
	return &withheldError{fmt.Sprintf(format, args...), cause}
}
