package account

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"jetstream/internal/api"
)

const (
	// maxLinks is how many links one path may go through, as in Linux.
	maxLinks = 40
	// maxPathBytes bounds a path and what links make of it.
	maxPathBytes = 16 * 1024
)

// CleanPath checks a path as the API writes it (slashes, beginning with /,
// which is the sandbox) and cleans it. `..` above / is refused, not cut off.
// Codes: invalid.
func CleanPath(apiPath string) (string, error) {
	switch {
	case !strings.HasPrefix(apiPath, "/"):
		return "", api.Errorf(api.CodeInvalid, "path %s does not begin with /, which is the root of your files", api.Quote(apiPath))
	case len(apiPath) > maxPathBytes:
		return "", api.Errorf(api.CodeInvalid, "path %s is longer than %d bytes", api.Quote(apiPath), maxPathBytes)
	case strings.ContainsRune(apiPath, 0):
		return "", api.Errorf(api.CodeInvalid, "path %s contains a NUL byte", api.Quote(apiPath))
	}
	if LeadsAboveRoot(apiPath) {
		return "", api.Errorf(api.CodeInvalid, "path %s leads above /, outside the sandbox", api.Quote(apiPath))
	}
	clean := path.Clean(apiPath)
	if runtime.GOOS == "windows" {
		for _, name := range splitNames(clean) {
			if fault := WindowsNameFault(name); fault != "" {
				return "", api.Errorf(api.CodeInvalid, "path %s: the name %q %s", api.Quote(apiPath), name, fault)
			}
		}
	}
	return clean, nil
}

// LeadsAboveRoot tells whether ".." in a slash-separated path leads above the
// directory that the path begins in.
func LeadsAboveRoot(p string) bool {
	depth := 0
	for name := range strings.SplitSeq(p, "/") {
		switch name {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// Resolve translates a path of the API into one below the sandbox that goes
// through no link, for use with Root: slashes, without a leading one, "." for
// the sandbox itself. Links on the way are followed, the last name only with
// followLast: relative ones, and absolute ones that lead into the sandbox. A
// link that leaves the sandbox, a loop, and a way into the state directory are
// refused. What does not exist is no error: the rest of the path is taken as
// it stands. Codes: invalid, forbidden, and internal for errors of the disk.
func (b *Sandbox) Resolve(apiPath string, followLast bool) (rel string, err error) {
	clean, err := CleanPath(apiPath)
	if err != nil {
		return "", err
	}
	if b.prefix != "" && !api.PathWithin(b.prefix, clean) {
		return "", api.Errorf(api.CodeForbidden, "path %s lies outside %q, which this login is confined to", api.Quote(clean), b.prefix)
	}
	w := walk{box: b, clean: clean, dir: b.Root, rest: hops(splitNames(strings.TrimPrefix(clean, b.prefix)), "", "")}
	defer w.leave()
	for len(w.rest) > 0 {
		next := w.rest[0]
		w.rest = w.rest[1:]
		if next.name == ".." {
			if len(w.done) == 0 {
				return "", w.outside(next.link)
			}
			w.up(len(w.done) - 1)
			continue
		}
		end, err := w.step(next, followLast)
		if err != nil {
			return "", err
		}
		if end {
			break
		}
	}
	if len(w.done) == 0 {
		return ".", nil
	}
	return strings.Join(w.done, "/"), nil
}

// walk is one resolution. done has been looked at and holds no link; rest is
// still to go and may hold "..".
type walk struct {
	box   *Sandbox
	clean string
	done  []string
	rest  []hop
	links int
	bytes int // of done, with a slash before each name

	// dir is the directory done[:depth], from which the next name is looked at:
	// seen from the sandbox, each would cost as much as the whole way to it.
	dir   *os.Root
	depth int
}

// here opens the directory done.
func (w *walk) here() (*os.Root, error) {
	if w.depth < len(w.done) {
		dir, err := w.dir.OpenRoot(strings.Join(w.done[w.depth:], "/"))
		if err != nil {
			return nil, err
		}
		w.leave()
		w.dir, w.depth = dir, len(w.done)
	}
	return w.dir, nil
}

// leave goes back to the sandbox, which is not the walk's to close.
func (w *walk) leave() {
	if w.depth > 0 {
		_ = w.dir.Close()
	}
	w.dir, w.depth = w.box.Root, 0
}

func (w *walk) lstat(name string) (os.FileInfo, error) {
	dir, err := w.here()
	if err != nil {
		return nil, err
	}
	return dir.Lstat(name)
}

func (w *walk) readlink(name string) (string, error) {
	dir, err := w.here()
	if err != nil {
		return "", err
	}
	return dir.Readlink(name)
}

func (w *walk) down(name string) {
	w.done = append(w.done, name)
	w.bytes += 1 + len(name)
}

// up goes back to the first n names of done.
func (w *walk) up(n int) {
	for _, name := range w.done[n:] {
		w.bytes -= 1 + len(name)
	}
	w.done = w.done[:n]
	if w.depth > n {
		w.leave()
	}
}

// at is the path of a name in the directory done, as the user knows it.
func (w *walk) at(name string) string {
	return w.box.prefix + "/" + strings.Join(append(slices.Clip(w.done), name), "/")
}

// hop is a name to go to, and the link with its target that it came from, for
// messages; they are empty for names of the path itself.
type hop struct{ name, link, target string }

func hops(names []string, link, target string) []hop {
	out := make([]hop, len(names))
	for i, name := range names {
		out[i] = hop{name, link, target}
	}
	return out
}

// step goes one name further; end tells that the whole path is done.
func (w *walk) step(next hop, followLast bool) (end bool, err error) {
	if w.bytes+len(next.name) > maxPathBytes {
		return false, api.Errorf(api.CodeInvalid, "path %s becomes longer than %d bytes through its links", api.Quote(w.clean), maxPathBytes)
	}
	fi, err := w.lstat(next.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.down(next.name)
		for _, h := range w.rest {
			if h.name == ".." {
				return false, api.Wrap(err, api.CodeNotFound, "path %s: the link %q leads to %q, which does not exist", api.Quote(w.clean), h.link, h.target)
			}
			w.down(h.name)
		}
		return true, nil
	case err != nil:
		return false, w.diskError(next.name, err)
	case w.box.Forbidden(fi):
		return false, api.Errorf(api.CodeForbidden, "path %s leads into the server's %s, which nobody may read", api.Quote(w.clean), w.box.secretName(fi))
	case fi.Mode()&fs.ModeSymlink != 0 && (followLast || len(w.rest) > 0):
		return false, w.follow(next.name)
	case !fi.IsDir() && len(w.rest) > 0:
		return false, api.Errorf(api.CodeInvalid, "path %s: %q is not a directory", api.Quote(w.clean), w.at(next.name))
	}
	w.down(next.name)
	return false, nil
}

// follow replaces the link of that name by what it leads to.
func (w *walk) follow(name string) error {
	if w.links++; w.links > maxLinks {
		return api.Errorf(api.CodeInvalid, "path %s goes through more than %d links; %q may lead round in a circle", api.Quote(w.clean), maxLinks, w.at(name))
	}
	target, err := w.readlink(name)
	if err != nil {
		return w.diskError(name, err)
	}
	link, names := w.at(name), splitNames(filepath.ToSlash(target))
	switch {
	case filepath.IsAbs(target):
		inside, ok := w.box.translate(target)
		if !ok {
			return w.outside(link)
		}
		names = inside
		w.up(0)
	case len(target) == 0 || filepath.VolumeName(target) != "" || os.IsPathSeparator(target[0]):
		return w.outside(link) // only Windows: \dir, C:dir
	}
	w.rest = append(hops(names, link, target), w.rest...)
	return nil
}

// outside does not say where the link leads: what lies beside the sandbox is
// not the user's to know.
func (w *walk) outside(link string) error {
	if w.box.prefix != "" {
		return api.Errorf(api.CodeForbidden, "path %s: the link %q leads outside %q, which this login is confined to", api.Quote(w.clean), link, w.box.prefix)
	}
	return api.Errorf(api.CodeForbidden, "path %s: the link %q leads outside the sandbox", api.Quote(w.clean), link)
}

func (w *walk) diskError(name string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return api.Wrap(err, api.CodeForbidden, "path %s: the server may not look at %q", api.Quote(w.clean), w.at(name))
	}
	return api.Wrap(err, api.CodeInvalid, "path %s: %q cannot be looked at", api.Quote(w.clean), w.at(name))
}

// translate turns an absolute target of a link into names below the sandbox:
// by the text first, then by looking where on the way the sandbox itself is,
// for targets that come to it through links. It only finds names; the walk
// goes on through Root.
func (b *Sandbox) translate(target string) (names []string, inside bool) {
	for _, dir := range []string{b.Dir, b.configured} {
		rest, ok := cutDir(target, dir)
		if names = splitNames(filepath.ToSlash(rest)); ok && !slices.Contains(names, "..") {
			return names, true
		}
	}
	// The longest beginning that is the sandbox, so that a target that leaves
	// and comes back is seen as inside. Cut by the text, as the kernel reads it.
	for end := len(target); end > 0; end-- {
		if end < len(target) && !os.IsPathSeparator(target[end]) {
			continue
		}
		if fi, err := os.Stat(target[:end]); err == nil && os.SameFile(fi, b.self) {
			return splitNames(filepath.ToSlash(target[end:])), true
		}
	}
	return nil, false
}

// cutDir cuts the directory dir off the beginning of target.
func cutDir(target, dir string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(target, dir); !ok {
		return "", false
	}
	return rest, rest == "" || os.IsPathSeparator(rest[0]) || os.IsPathSeparator(dir[len(dir)-1])
}

// splitNames lists the names in a path of slashes, leaving out empty ones and
// "."; ".." stays.
func splitNames(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(name string) bool { return name == "" || name == "." })
}

// WindowsNameFault says why Windows does not take name as the name of one file,
// to be put after it; "" if it does.
func WindowsNameFault(name string) string {
	for i := range len(name) {
		if c := name[i]; c < ' ' || strings.IndexByte(`<>:"/\|?*`, c) >= 0 {
			return "has a character that Windows does not take"
		}
	}
	if strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return "ends with a dot or a space, which Windows does not take"
	}
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return "is reserved on Windows"
	}
	for _, device := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(base, device); ok && (len(n) == 1 && n[0] >= '0' && n[0] <= '9' || n == "¹" || n == "²" || n == "³") {
			return "is reserved on Windows"
		}
	}
	return ""
}
