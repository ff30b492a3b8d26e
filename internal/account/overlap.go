package account

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"jetstream/internal/api"
)

// Protected is a directory or file that received data must not be able to
// reach.
type Protected struct {
	// What is its name in messages, such as "trigger directory".
	What string
	// Path is its absolute path.
	Path string
	// Secret forbids to read it through a sandbox.
	Secret bool
	// Scripts reports whether it is a directory of scripts. The targets of
	// links in it are then protected as well.
	Scripts bool
}

// Use is the purpose that a sandbox is opened for.
type Use int

// The uses of a sandbox.
const (
	Read  Use = iota // send, ls, du
	Write            // receive, mkdir, mv, rm
)

// CheckOverlap returns an error if dir may not be used as a sandbox, so that
// received data can never become a script. A directory that is a protected one
// or is below one is forbidden; one that contains a protected one is forbidden
// to Write, and so is one that contains a link on the way to it. Links are
// followed, also dangling ones, and existing files are compared by identity, not
// by name. Neither dir nor the protected paths need exist. Codes: forbidden,
// naming both paths; unavailable when a protected path cannot be examined.
func CheckOverlap(dir string, use Use, protected []Protected) error {
	real, err := realPath(dir)
	if err != nil {
		return api.Wrap(err, api.CodeForbidden, "the sandbox %s cannot be looked at, so it may not be used", dir)
	}
	for _, p := range protected {
		place, links, err := follow(p.Path)
		if err != nil {
			return api.Wrap(err, api.CodeUnavailable, "the %s %s cannot be looked at, so no sandbox may be used; the server's log says why", p.What, p.Path)
		}
		if within(real, place) {
			return api.Errorf(api.CodeForbidden, "the sandbox %s lies in the %s %s; a superuser must choose another sandbox", dir, p.What, p.Path)
		}
		contains := func(path string) bool { return within(path, real) }
		if use == Write && (contains(place) || slices.ContainsFunc(links, contains)) {
			return api.Errorf(api.CodeForbidden, "the sandbox %s contains the %s %s, so it may only be read; a superuser must choose another sandbox to change files in", dir, p.What, p.Path)
		}
		if use == Write && p.Scripts {
			if err := checkLinks(dir, real, place, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// Overlap reports whether one of two directories is the other or is below it.
// They are compared as by CheckOverlap and need not exist.
func Overlap(a, b string) (bool, error) {
	realA, errA := realPath(a)
	realB, errB := realPath(b)
	if err := errors.Join(errA, errB); err != nil {
		return false, err
	}
	return within(realA, realB) || within(realB, realA), nil
}

// SandboxesBelow lists, as slash-separated paths below the directory dir, what belongs to
// sandboxes of users: the sandboxes that lie in dir, other than itself, and the links
// on the way to those that are configured to lead through dir.
func (s *Service) SandboxesBelow(ctx context.Context, dir string) (list []string, err error) {
	const page = 1000
	for after := ""; ; {
		users, err := s.store.Users(ctx, after, page)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			after = u.Name
			box := s.SandboxDir(u)
			if box == "" || !filepath.IsAbs(box) {
				continue
			}
			place, links, err := follow(box)
			if err != nil {
				return nil, api.Wrap(err, api.CodeUnavailable, "the sandbox %s cannot be looked at", box)
			}
			for _, p := range append(links, place) {
				if rel, inside := below(p, dir); inside && rel != "." {
					list = append(list, filepath.ToSlash(rel))
				}
			}
		}
		if len(users) < page {
			return list, nil
		}
	}
}

// OwnSandboxes lists the sandboxes, most at most, of users with one of their own.
func (s *Service) OwnSandboxes(ctx context.Context, most int) (list []string, err error) {
	const page = 1000
	for after := ""; ; {
		users, err := s.store.Users(ctx, after, page)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			after = u.Name
			if u.Sandbox != "" && !slices.Contains(list, u.Sandbox) {
				list = append(list, u.Sandbox)
			}
		}
		if len(users) < page || len(list) >= most {
			return list[:min(len(list), most)], nil
		}
	}
}

// maxHops is how many links may lead to one file, as in the kernel.
const maxHops = 40

// checkLinks refuses a sandbox that contains the target of a link in the
// directory of scripts p, which lies at place, or a link on the way to it, since
// a received file could replace it.
func checkLinks(dir, real, place string, p Protected) error {
	entries, err := os.ReadDir(place)
	if err != nil && !absent(err) {
		return api.Wrap(err, api.CodeUnavailable, "the %s %s cannot be read, so no sandbox may be changed; a superuser must mend its permissions", p.What, p.Path)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			continue
		}
		script := filepath.Join(place, e.Name())
		target, links, err := follow(script)
		if err != nil {
			return api.Wrap(err, api.CodeUnavailable, "%s in the %s cannot be looked at, so no sandbox may be changed", e.Name(), p.What)
		}
		for _, hop := range append(links, target) {
			if hop != script && within(hop, real) {
				return api.Errorf(api.CodeForbidden, "the sandbox %s contains %s, which %s in the %s leads to, so it may only be read; "+
					"a superuser must move the script or choose another sandbox", dir, hop, e.Name(), p.What)
			}
		}
	}
	return nil
}

// follow returns the place that an absolute path leads to, and the links on the
// way. What is missing, or may not be looked at, is taken for a directory that
// is made later: a dangling link leads to where its target would be.
func follow(path string) (place string, links []string, err error) {
	place = filepath.VolumeName(path) + string(filepath.Separator)
	rest := names(path)
	for len(rest) > 0 {
		next := filepath.Join(place, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		switch {
		case err != nil && !absent(err) && !errors.Is(err, fs.ErrPermission):
			return "", nil, err
		case err != nil || info.Mode()&fs.ModeSymlink == 0:
			place = next
			continue
		}
		if links = append(links, next); len(links) > maxHops {
			return next, links, nil // leads nowhere
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", nil, err
		}
		if filepath.IsAbs(target) {
			place = filepath.VolumeName(target) + string(filepath.Separator)
		}
		rest = append(names(target), rest...)
	}
	if real, err := realPath(place); err == nil {
		place = real // as the system spells it
	}
	return place, links, nil
}

// names splits a path into its names.
func names(path string) []string {
	path = path[len(filepath.VolumeName(path)):]
	return strings.FieldsFunc(path, func(r rune) bool { return r < utf8.RuneSelf && os.IsPathSeparator(uint8(r)) })
}

// absent reports whether err says that there is no such file.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

// within reports whether path is dir or is below it. Both are real paths.
func within(path, dir string) bool {
	if _, inside := below(path, dir); inside {
		return true
	}
	dirInfo, err := os.Lstat(dir)
	if err != nil {
		return false // it does not exist and thus has no other name
	}
	for {
		if fi, err := os.Lstat(path); err == nil && os.SameFile(fi, dirInfo) {
			return true
		}
		parent := filepath.Dir(path)
		if parent == path {
			return false
		}
		path = parent
	}
}

// below returns path relative to dir if it is dir or below it, comparing only
// their texts. Both are clean and absolute.
func below(path, dir string) (rel string, inside bool) {
	rel, err := filepath.Rel(dir, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return rel, true
}

// realPath returns path without links. The last names need not exist, but a
// dangling link is an error, since its target may come into existence.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	missing := ""
	for {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return filepath.Join(real, missing), nil
		}
		if !absent(err) {
			return "", err
		}
		if _, lerr := os.Lstat(path); lerr == nil {
			return "", err // a dangling link
		}
		parent := filepath.Dir(path)
		if parent == path {
			return "", err
		}
		path, missing = parent, filepath.Join(filepath.Base(path), missing)
	}
}
