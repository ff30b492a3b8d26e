package receiver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// maxDirs is how many directories a placer caches.
const maxDirs = 4096

// errTaken reports that the name exists and must not be replaced.
var errTaken = errors.New("the name is taken")

// placer gives received files their final names in the user's sandbox. It is
// for one goroutine, except for path.
type placer struct {
	box     *account.Sandbox
	root    tree   // of box
	target  string // destinationPath
	staging string // below the sandbox
	// dirs maps API paths of directories to paths without links below the
	// sandbox.
	dirs map[string]string
	// looked maps API paths of directories to what box.Resolve has returned.
	looked map[string]string
	// there holds paths below the sandbox of directories that exist.
	there map[string]bool
	// dirty holds the directories with names that may not be durable: true if
	// this placer has made them.
	dirty map[string]bool
	// candidates lists the entries of the transfer with a Fold, maxCandidates at
	// most; save saves one.
	candidates func(fold int64) ([]transfer.RecvFile, error)
	save       func(transfer.RecvFile) error
	// again holds the indexes of entries whose names were chosen before a crash.
	again map[int64]bool
	// began is when the transfer began.
	began time.Time
	// parts is the staging directory, last the directory lastAt. They are opened, so
	// that a name costs one system call; nil where they cannot be.
	parts, last *openDir
	lastAt      string
	// unkept says which mode or time the file system has not taken, "" if none.
	unkept string
	// modes are Options.Modes; groups are those of setgid directories, -1 for others.
	modes  Modes
	groups map[string]int
	// observe is Receiver.observe.
	observe func(step, name string)
}

func newPlacer(box *account.Sandbox, row *transfer.RecvTransfer) *placer {
	return &placer{
		box: box, root: tree{box.Root}, target: row.DestinationPath, staging: row.Staging,
		dirs: map[string]string{}, looked: map[string]string{}, there: map[string]bool{}, dirty: map[string]bool{}, observe: func(string, string) {},
		began: row.StartTime.Std(),
	}
}

// path returns the API path of an entry.
func (p *placer) path(name string) string { return path.Join("/", p.target, name) }

// look returns what is at an API path, nil if nothing is. Errors that are not
// temporary are left to be found when the file is placed.
func (p *placer) look(userPath string) (fs.FileInfo, error) {
	dir := path.Dir(userPath)
	rel, known := p.looked[dir]
	var err error
	if !known {
		rel, err = p.box.Resolve(dir, true)
	}
	var info fs.FileInfo
	if err == nil {
		if len(p.looked) >= maxDirs {
			clear(p.looked)
		}
		p.looked[dir] = rel
		info, err = p.lstat(path.Join(rel, path.Base(userPath)))
	}
	if err == nil && info.IsDir() { // it may be one that nobody may look at
		_, err = p.box.Resolve(userPath, false)
	}
	switch {
	case isExhausted(err):
		return nil, err
	case err != nil:
		return nil, nil
	}
	return info, nil
}

// addDirty adds a directory in which another process may have made names before
// it was killed.
func (p *placer) addDirty(dir string) {
	if _, known := p.dirty[dir]; !known {
		p.dirty[dir] = false
	}
}

// choose chooses the final name of an entry and sets Final, Real and Fold, or
// Skipped. taken holds the chosen values of Real that do not exist on disk yet.
func (p *placer) choose(f *transfer.RecvFile, conflict string, taken map[string]struct{}) error {
	final := p.path(f.Name)
	if final == p.box.Path() {
		f.Final, f.Real = final, "."
		return nil
	}
	dir, err := p.resolve(path.Dir(final))
	if err != nil {
		return err
	}
	free := func(name string) (bool, error) {
		if _, chosen := taken[path.Join(dir, name)]; chosen {
			return false, nil
		}
		_, err := p.root.Lstat(path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		return false, diskError(err, api.Quote(final))
	}
	name := path.Base(final)
	if f.Dir {
		if f.Made, err = free(name); err != nil {
			return err
		}
	} else if conflict != "overwrite" {
		ok, err := free(name)
		if err == nil && !ok && conflict != "rename" {
			err = p.refuse(f, final, path.Join(dir, name), conflict)
		}
		if err == nil && !ok && conflict == "rename" {
			name, err = numbered(name, free)
		}
		if err != nil || f.Skipped {
			return err
		}
	}
	f.Final, f.Real = path.Join(path.Dir(final), name), path.Join(dir, name)
	f.Fold = fold(f.Real)
	taken[f.Real] = struct{}{}
	return nil
}

// numbered returns a free name such as "reel (1).mov".
func numbered(name string, free func(string) (bool, error)) (string, error) {
	stem, ending := splitEnding(name)
	for n := 1; n < 100_000; n++ {
		suffix := fmt.Sprintf(" (%d)%s", n, ending)
		// A name of the maximum length is cut.
		candidate := api.Truncate(stem, maxComponent-len(suffix)) + suffix
		if ok, err := free(candidate); ok || err != nil {
			return candidate, err
		}
	}
	return "", failf(nil, "no free name for %s was found at the receiver", api.Quote(name))
}

// put gives an entry its chosen name, unless that was done before a crash. It
// returns errTaken if another name must be chosen.
func (p *placer) put(f *transfer.RecvFile, conflict string) error {
	if err := p.makeParents(path.Dir(f.Real)); err != nil {
		return err
	}
	p.dirty[path.Dir(f.Real)] = true
	p.observe("put", f.Real)
	if f.Dir {
		return p.putDir(f)
	}
	root, part := p.root, path.Join(p.staging, partName(f.Index))
	own, err := p.lstat(part)
	if errors.Is(err, fs.ErrNotExist) {
		return p.checkPlaced(f)
	}
	there, thereErr := p.lstat(f.Real)
	if err == nil {
		p.compare(f, own)
		err = p.giveGroup(part, own, f.Real)
	}
	switch {
	case err != nil:
	case thereErr == nil && os.SameFile(own, there): // linked before a crash
		err = root.Remove(part)
	case thereErr == nil && p.copied(f, there): // its copy was linked before a crash
		err = p.tidy(f, part)
	case thereErr == nil && conflict != "overwrite":
		return errTaken
	case thereErr == nil && there.IsDir():
		return failf(nil, "a directory is in the way at %s", api.Quote(f.Final))
	case thereErr == nil && p.isTwin(f, there, &err):
	case conflict == "overwrite":
		err = p.rename(part, f.Real)
	default:
		if err = p.link(part, f.Real); err == nil {
			err = p.remove(part)
		}
	}
	if isOtherDevice(err) {
		err = p.copy(f, part, conflict)
	}
	if errors.Is(err, errTaken) {
		return err
	}
	return diskError(err, api.Quote(f.Final))
}

// link gives a file a name that does not exist; errTaken if it does. On file
// systems without hard links it may replace a file that gets the name
// meanwhile.
func (p *placer) link(from, to string) error {
	root := p.root
	err := root.Link(from, to)
	switch {
	case err == nil:
		p.observe("linked", to)
		return nil
	case errors.Is(err, fs.ErrExist):
		return errTaken
	case errors.Is(err, fs.ErrNotExist) || isFull(err) || isOtherDevice(err):
		return err
	}
	if _, there := root.Lstat(to); there == nil {
		return errTaken
	}
	return root.Rename(from, to)
}

// remove removes a name, if it exists.
func (p *placer) remove(name string) error {
	if err := p.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// temp returns the temporary name of a copy, in the directory of the final
// name.
func (p *placer) temp(f *transfer.RecvFile) string {
	return path.Join(path.Dir(f.Real), path.Base(p.staging)+"."+partName(f.Index))
}

// copied reports whether a file is the copy that copy has made.
func (p *placer) copied(f *transfer.RecvFile, file fs.FileInfo) bool {
	temp, err := p.root.Lstat(p.temp(f))
	return err == nil && os.SameFile(temp, file)
}

// copy is put for a target on another file system, such as a mount point below
// the sandbox. A copy that is linked to its final name keeps its temporary name
// until the part file is removed, so that it is recognized after a crash.
func (p *placer) copy(f *transfer.RecvFile, part, conflict string) (err error) {
	root, temp := p.root, p.temp(f)
	if err := p.remove(temp); err != nil {
		return err
	}
	if err := tolerateModeless(root.Chmod(part, 0o600)); err != nil {
		return err
	}
	from, err := root.Open(part)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := root.OpenFile(temp, os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = copySparse(to, from)
	if gid, ok := p.groupIn(path.Dir(f.Real)); ok && err == nil {
		err = tolerateModeless(to.Chown(-1, gid))
	}
	if err == nil {
		err = tolerateModeless(to.Chmod(os.FileMode(f.Mode)))
	}
	if err == nil {
		err = tolerateModeless(root.Chtimes(temp, stamp(f), stamp(f)))
	}
	if err == nil {
		err = to.Sync()
	}
	if info, statErr := to.Stat(); statErr == nil {
		p.compare(f, info)
	}
	if err = errors.Join(err, to.Close()); err == nil {
		p.observe("copied", f.Real)
		if conflict == "overwrite" {
			if err = root.Rename(temp, f.Real); err == nil {
				p.observe("renamed", f.Real)
			}
		} else {
			err = p.link(temp, f.Real)
		}
	}
	if err != nil {
		_ = root.Remove(temp)
		return err
	}
	return p.tidy(f, part)
}

// tidy removes the part file and the temporary name of a copied file.
func (p *placer) tidy(f *transfer.RecvFile, part string) error {
	if err := p.root.Remove(part); err != nil {
		return err
	}
	p.observe("removed", f.Real)
	return p.remove(p.temp(f))
}

// checkPlaced checks that a file without a part file was placed before a crash,
// and removes its temporary name.
func (p *placer) checkPlaced(f *transfer.RecvFile) error {
	info, err := p.root.Lstat(f.Real)
	if err == nil && info.Mode().IsRegular() && info.Size() == f.Size {
		// A file system that does not keep times has that of the writing.
		if sameTime(info.ModTime(), stamp(f)) || info.ModTime().After(p.began) {
			return p.remove(p.temp(f))
		}
	}
	return failf(err, "the received data of %s were removed before they got their final name; send it again", api.Quote(f.Final))
}

// sync makes the names in all dirty directories durable.
func (p *placer) sync() error {
	for dir, made := range p.dirty {
		p.observe("sync", dir)
		err := syncBelow(p.root.Root, dir)
		if errors.Is(err, fs.ErrPermission) { // it can be written to but not opened
			if made {
				syncAll()
			}
			continue
		}
		if err != nil {
			return diskError(err, "the directory "+api.Quote(path.Join(p.box.Path(), dir)))
		}
	}
	clear(p.dirty)
	return nil
}
