package receiver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
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
	target  string // destinationPath
	staging string // below the sandbox
	// dirs maps API paths of directories to paths without links below the
	// sandbox.
	dirs map[string]string
	// dirty holds the directories with names that may not be durable: true if
	// this placer has made them.
	dirty map[string]bool
	// observe is Receiver.observe.
	observe func(step, name string)
}

func newPlacer(box *account.Sandbox, row *transfer.RecvTransfer) *placer {
	return &placer{
		box: box, target: row.DestinationPath, staging: row.Staging,
		dirs: map[string]string{}, dirty: map[string]bool{}, observe: func(string, string) {},
	}
}

// path returns the API path of an entry.
func (p *placer) path(name string) string { return path.Join("/", p.target, name) }

// exists reports whether an API path exists. Errors that are not temporary are
// left to be found when the file is placed.
func (p *placer) exists(userPath string) (bool, error) {
	rel, err := p.box.Resolve(userPath, false)
	if err != nil {
		if isExhausted(err) {
			return false, err
		}
		return false, nil
	}
	_, err = p.box.Root.Lstat(rel)
	if isExhausted(err) {
		return false, err
	}
	return err == nil, nil
}

// dir makes a directory, with its parents, and returns its path without links.
// Links inside the sandbox are followed; one that leaves it ends the transfer.
func (p *placer) dir(userDir string) (rel string, err error) {
	if userDir == "/" {
		return ".", nil
	}
	if rel, ok := p.dirs[userDir]; ok {
		return rel, nil
	}
	parent, err := p.dir(path.Dir(userDir))
	if err != nil {
		return "", err
	}
	rel = path.Join(parent, path.Base(userDir))
	p.addDirty(parent)
	info, err := p.box.Root.Lstat(rel)
	if errors.Is(err, fs.ErrNotExist) {
		err = p.box.Root.Mkdir(rel, 0o755)
		if err == nil || errors.Is(err, fs.ErrExist) {
			p.dirty[parent] = true
			info, err = p.box.Root.Lstat(rel)
		}
	}
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		rel, err = p.box.Resolve(userDir, true)
		if e, ok := errors.AsType[*api.Error](err); ok {
			return "", failf(e.Err, "%s", e.Message)
		}
		if err == nil {
			info, err = p.box.Root.Stat(rel)
		}
	}
	if err != nil {
		return "", diskError(err, "the directory "+api.Quote(userDir))
	}
	if !info.IsDir() {
		return "", failf(nil, "%s is in the way of a directory of that name", api.Quote(userDir))
	}
	if len(p.dirs) >= maxDirs {
		clear(p.dirs)
	}
	p.dirs[userDir] = rel
	return rel, nil
}

// addDirty adds a directory in which another process may have made names before
// it was killed.
func (p *placer) addDirty(dir string) {
	if _, known := p.dirty[dir]; !known {
		p.dirty[dir] = false
	}
}

// choose chooses the final name of an entry and sets Final and Real, or
// Skipped. taken holds the chosen values of Real that do not exist on disk yet.
func (p *placer) choose(f *transfer.RecvFile, conflict string, taken map[string]struct{}) error {
	final := p.path(f.Name)
	dir, err := p.dir(path.Dir(final))
	if err != nil {
		return err
	}
	free := func(name string) (bool, error) {
		if _, chosen := taken[path.Join(dir, name)]; chosen {
			return false, nil
		}
		_, err := p.box.Root.Lstat(path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		return false, diskError(err, api.Quote(final))
	}
	name := path.Base(final)
	if !f.Dir && conflict != "overwrite" {
		ok, err := free(name)
		switch {
		case err != nil:
			return err
		case ok:
		case conflict == "skip":
			f.Skipped = true
			return nil
		case conflict == "fail":
			return failf(nil, "%s exists already at the receiver", api.Quote(final))
		default:
			if name, err = numbered(name, free); err != nil {
				return err
			}
		}
	}
	f.Final, f.Real = path.Join(path.Dir(final), name), path.Join(dir, name)
	taken[f.Real] = struct{}{}
	return nil
}

// numbered returns a free name such as "reel (1).mov".
func numbered(name string, free func(string) (bool, error)) (string, error) {
	ext := path.Ext(name)
	if ext == name { // .profile
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	for n := 1; n < 100_000; n++ {
		suffix := fmt.Sprintf(" (%d)%s", n, ext)
		// A name of the maximum length is cut.
		candidate := api.Truncate(stem, max(0, maxComponent-len(suffix))) + suffix
		if ok, err := free(candidate); ok || err != nil {
			return candidate, err
		}
	}
	return "", failf(nil, "no free name for %s was found at the receiver", api.Quote(name))
}

// put gives an entry its chosen name, unless that was done before a crash. It
// returns errTaken if another name must be chosen.
func (p *placer) put(f *transfer.RecvFile, conflict string) error {
	p.dirty[path.Dir(f.Real)] = true
	p.observe("put", f.Real)
	if f.Dir {
		return p.putDir(f)
	}
	root, part := p.box.Root, path.Join(p.staging, partName(f.Index))
	own, err := root.Lstat(part)
	if errors.Is(err, fs.ErrNotExist) {
		return p.checkPlaced(f)
	}
	there, thereErr := root.Lstat(f.Real)
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
	case conflict == "overwrite":
		err = root.Rename(part, f.Real)
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
	root := p.box.Root
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
	if err := p.box.Root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
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
	temp, err := p.box.Root.Lstat(p.temp(f))
	return err == nil && os.SameFile(temp, file)
}

// copy is put for a target on another file system, such as a mount point below
// the sandbox. A copy that is linked to its final name keeps its temporary name
// until the part file is removed, so that it is recognized after a crash.
func (p *placer) copy(f *transfer.RecvFile, part, conflict string) (err error) {
	root, temp := p.box.Root, p.temp(f)
	if err := p.remove(temp); err != nil {
		return err
	}
	if err := root.Chmod(part, 0o600); err != nil {
		return err
	}
	from, err := root.Open(part)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Chmod(os.FileMode(f.Mode))
	}
	if err == nil {
		err = root.Chtimes(temp, time.Unix(0, f.ModTime), time.Unix(0, f.ModTime))
	}
	if err == nil {
		err = to.Sync()
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
	if err := p.box.Root.Remove(part); err != nil {
		return err
	}
	p.observe("removed", f.Real)
	return p.remove(p.temp(f))
}

// checkPlaced checks that a file without a part file was placed before a crash,
// and removes its temporary name.
func (p *placer) checkPlaced(f *transfer.RecvFile) error {
	info, err := p.box.Root.Lstat(f.Real)
	if err == nil && info.Mode().IsRegular() && info.Size() == f.Size {
		// The resolution of times is 2 s on some file systems.
		if d := info.ModTime().Sub(time.Unix(0, f.ModTime)); d > -2*time.Second && d < 2*time.Second {
			return p.remove(p.temp(f))
		}
	}
	return failf(err, "the received data of %s were removed before they got their final name; send it again", api.Quote(f.Final))
}

func (p *placer) putDir(f *transfer.RecvFile) error {
	root := p.box.Root
	info, err := root.Lstat(f.Real)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err = root.Mkdir(f.Real, 0o755); err == nil {
			err = root.Chmod(f.Real, os.FileMode(f.Mode)|0o700)
		}
		if err == nil {
			err = root.Chtimes(f.Real, time.Unix(0, f.ModTime), time.Unix(0, f.ModTime))
		}
	case err != nil || info.IsDir():
	default: // a link to a directory is accepted
		_, err = p.dir(f.Final)
		if _, ok := errors.AsType[*endError](err); ok {
			return err
		}
	}
	return diskError(err, "the directory "+api.Quote(f.Final))
}

// sync makes the names in all dirty directories durable.
func (p *placer) sync() error {
	for dir, made := range p.dirty {
		p.observe("sync", dir)
		err := syncBelow(p.box.Root, dir)
		if !made && errors.Is(err, fs.ErrPermission) {
			continue // a directory that cannot be read cannot be synced
		}
		if err != nil {
			return diskError(err, "the directory "+api.Quote("/"+dir))
		}
	}
	clear(p.dirty)
	return nil
}
