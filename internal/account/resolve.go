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
		return "", api.Errorf(api.CodeInvalid, "path %q does not begin with /, which is the root of your files", shown(apiPath))
	case len(apiPath) > maxPathBytes:
		return "", api.Errorf(api.CodeInvalid, "path %q is longer than %d bytes", shown(apiPath), maxPathBytes)
	case strings.ContainsRune(apiPath, 0):
		return "", api.Errorf(api.CodeInvalid, "path %q contains a NUL byte", shown(apiPath))
	}
	depth := 0
	for name := range strings.SplitSeq(apiPath, "/") {
		switch name {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return "", api.Errorf(api.CodeInvalid, "path %q leads above /, outside the sandbox", shown(apiPath))
			}
		default:
			depth++
			if runtime.GOOS == "windows" && !validWindowsName(name) {
				return "", api.Errorf(api.CodeInvalid, "path %q: the name %q is not possible on this server (Windows)", shown(apiPath), name)
			}
		}
	}
	return path.Clean(apiPath), nil
}

// shown shortens what a stranger may have made long.
func shown(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
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
		return "", api.Errorf(api.CodeForbidden, "path %q lies outside %q, which this login is confined to", shown(clean), b.prefix)
	}
	w := walk{box: b, clean: clean, rest: hops(splitNames(strings.TrimPrefix(clean, b.prefix)), "", "")}
	for len(w.rest) > 0 {
		next := w.rest[0]
		w.rest = w.rest[1:]
		if next.name == ".." {
			if len(w.done) == 0 {
				return "", w.outside(next.link, next.target)
			}
			w.done = w.done[:len(w.done)-1]
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
	at := strings.Join(append(slices.Clip(w.done), next.name), "/")
	if len(at) > maxPathBytes {
		return false, api.Errorf(api.CodeInvalid, "path %q becomes longer than %d bytes through its links", shown(w.clean), maxPathBytes)
	}
	fi, err := w.box.Root.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.done = append(w.done, next.name)
		for _, h := range w.rest {
			if h.name == ".." {
				return false, api.Wrap(err, api.CodeNotFound, "path %q: the link %q leads to %q, which does not exist", shown(w.clean), h.link, h.target)
			}
			w.done = append(w.done, h.name)
		}
		return true, nil
	case err != nil:
		return false, w.diskError(at, err)
	case w.box.Forbidden(fi):
		return false, api.Errorf(api.CodeForbidden, "path %q leads into the server's %s, which nobody may read", shown(w.clean), w.box.secretName(fi))
	case fi.Mode()&fs.ModeSymlink != 0 && (followLast || len(w.rest) > 0):
		return false, w.follow(at)
	case !fi.IsDir() && len(w.rest) > 0:
		return false, api.Errorf(api.CodeInvalid, "path %q: %q is not a directory", shown(w.clean), w.box.prefix+"/"+at)
	}
	w.done = append(w.done, next.name)
	return false, nil
}

// follow replaces the link at by what it leads to.
func (w *walk) follow(at string) error {
	if w.links++; w.links > maxLinks {
		return api.Errorf(api.CodeInvalid, "path %q goes through more than %d links; %q may lead round in a circle", shown(w.clean), maxLinks, w.box.prefix+"/"+at)
	}
	target, err := w.box.Root.Readlink(at)
	if err != nil {
		return w.diskError(at, err)
	}
	link, names := w.box.prefix+"/"+at, splitNames(filepath.ToSlash(target))
	switch {
	case filepath.IsAbs(target):
		inside, ok := w.box.translate(target)
		if !ok {
			return w.outside(link, target)
		}
		names, w.done = inside, nil
	case len(target) == 0 || filepath.VolumeName(target) != "" || os.IsPathSeparator(target[0]):
		return w.outside(link, target) // only Windows: \dir, C:dir
	}
	w.rest = append(hops(names, link, target), w.rest...)
	return nil
}

func (w *walk) outside(link, target string) error {
	if w.box.prefix != "" {
		return api.Errorf(api.CodeForbidden, "path %q: the link %q leads outside %q, which this login is confined to", shown(w.clean), link, w.box.prefix)
	}
	return api.Errorf(api.CodeForbidden, "path %q: the link %q leads to %q, outside the sandbox", shown(w.clean), link, target)
}

func (w *walk) diskError(at string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return api.Wrap(err, api.CodeForbidden, "path %q: the server may not look at %q", shown(w.clean), w.box.prefix+"/"+at)
	}
	return api.Wrap(err, api.CodeInvalid, "path %q: %q cannot be looked at", shown(w.clean), w.box.prefix+"/"+at)
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

// validWindowsName tells whether Windows would take name as the name of one
// file: no separators, drives or streams, no device, no ending that it drops.
func validWindowsName(name string) bool {
	if strings.ContainsAny(name, `<>:"/\|?*`) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return false
	}
	for i := range len(name) {
		if name[i] < 32 {
			return false
		}
	}
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return false
	}
	for _, device := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(base, device); ok && (len(n) == 1 && n[0] >= '0' && n[0] <= '9' || n == "¹" || n == "²" || n == "³") {
			return false
		}
	}
	return true
}
