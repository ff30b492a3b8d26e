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
	"syscall"

	"jetstream/internal/api"
)

const (
	// maxLinks is how many links a path may contain, as in Linux.
	maxLinks = 40
	// maxPathBytes bounds the length of a path before and after links are
	// resolved.
	maxPathBytes = 16 * 1024
)

// CleanPath checks and cleans a path of the API, which is slash-separated and
// begins with /, the sandbox. A path that leads above / is refused. Codes:
// invalid.
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

// LeadsAboveRoot reports whether ".." in a slash-separated path leads above the
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

// Resolve translates a path of the API into one without links for use with
// Root: slash-separated, without a leading slash, "." for the sandbox itself.
//
// Links are followed, the last name only with followLast. Absolute links are
// followed if they lead into the sandbox. Links that leave the sandbox, loops
// and paths into secret directories are refused. The path need not exist: names
// after the first one that does not exist are kept as they are. Codes: invalid,
// forbidden, notFound for ".." after a name that does not exist.
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

// walk is the state of one Resolve. done is the resolved part of the path, rest
// the part to resolve, which may contain "..".
type walk struct {
	box   *Sandbox
	clean string
	done  []string
	rest  []hop
	links int
	bytes int // length of done, with a slash before each name

	// dir is the directory done[:depth]. Names are looked up in it, and not
	// from the sandbox, so that the cost grows only linearly with the depth.
	dir   *os.Root
	depth int
}

// here returns the directory done.
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

// leave closes dir and continues from the sandbox.
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

// up removes all but the first n names from done.
func (w *walk) up(n int) {
	for _, name := range w.done[n:] {
		w.bytes -= 1 + len(name)
	}
	w.done = w.done[:n]
	if w.depth > n {
		w.leave()
	}
}

// at returns the API path of a name in the directory done.
func (w *walk) at(name string) string {
	return w.box.prefix + "/" + strings.Join(append(slices.Clip(w.done), name), "/")
}

// hop is a name to resolve. link and target are those of the link that it is
// from, for messages; they are empty for names of the path itself.
type hop struct{ name, link, target string }

func hops(names []string, link, target string) []hop {
	out := make([]hop, len(names))
	for i, name := range names {
		out[i] = hop{name, link, target}
	}
	return out
}

// step resolves one name; end reports whether the whole path is resolved.
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
		return false, api.Wrap(syscall.ENOTDIR, api.CodeInvalid, "path %s: %q is not a directory", api.Quote(w.clean), w.at(next.name))
	}
	w.down(next.name)
	return false, nil
}

// follow replaces the link of that name by its target.
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

// outside returns the error for a link that leaves the sandbox. It does not
// name the target, which the user may not know.
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

// translate returns the names below the sandbox of the absolute target of a
// link: by comparing the texts, or by looking for the sandbox itself among the
// parents of the target, which may reach it through links. The names are
// resolved further through Root.
func (b *Sandbox) translate(target string) (names []string, inside bool) {
	for _, dir := range []string{b.Dir, b.configured} {
		rest, ok := cutDir(target, dir)
		if names = splitNames(filepath.ToSlash(rest)); ok && !slices.Contains(names, "..") {
			return names, true
		}
	}
	// The longest prefix that is the sandbox, so that a target that leaves the
	// sandbox and enters it again counts as inside.
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

// cutDir removes the directory dir from the beginning of target.
func cutDir(target, dir string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(target, dir); !ok {
		return "", false
	}
	return rest, rest == "" || os.IsPathSeparator(rest[0]) || os.IsPathSeparator(dir[len(dir)-1])
}

// splitNames returns the names in a slash-separated path without empty ones and
// ".", but with "..".
func splitNames(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(name string) bool { return name == "" || name == "." })
}

// WindowsNameFault returns why name cannot be a file name on Windows, worded to
// follow the name in a message; "" if it can.
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
