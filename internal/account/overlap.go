package account

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

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
// to Write. Links are followed, and existing files are compared by identity,
// not by name. dir need not exist. Codes: forbidden, naming both paths;
// internal when a protected path cannot be examined.
func CheckOverlap(dir string, use Use, protected []Protected) error {
	real, err := realPath(dir)
	if err != nil {
		return api.Wrap(err, api.CodeForbidden, "the sandbox %s cannot be looked at, so it may not be used", dir)
	}
	for _, p := range protected {
		place, err := placeOf(p.Path)
		if err != nil {
			return api.Wrap(err, api.CodeInternal, "the %s %s cannot be looked at, so no sandbox may be used", p.What, p.Path)
		}
		if within(real, place) {
			return api.Errorf(api.CodeForbidden, "the sandbox %s lies in the %s %s; a superuser must choose another sandbox", dir, p.What, p.Path)
		}
		if use == Write && within(place, real) {
			return api.Errorf(api.CodeForbidden, "the sandbox %s contains the %s %s, so it may only be read; a superuser must choose another sandbox to change files in", dir, p.What, p.Path)
		}
		if use == Write && p.Scripts {
			if err := checkLinks(dir, real, p); err != nil {
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

// maxHops is how many links may lead to one script, as in the kernel.
const maxHops = 40

// checkLinks refuses a sandbox that contains the target of a link in the
// directory p, or a link on the way to it, since a received file could replace
// it.
func checkLinks(dir, real string, p Protected) error {
	entries, err := os.ReadDir(p.Path)
	if err != nil && !isMissing(err) {
		return api.Wrap(err, api.CodeInternal, "the %s %s cannot be looked at, so no sandbox may be changed", p.What, p.Path)
	}
	for _, e := range entries {
		hop := filepath.Join(p.Path, e.Name())
		for range maxHops {
			next, err := os.Readlink(hop)
			if err != nil {
				break // not a link
			}
			if !filepath.IsAbs(next) {
				next = filepath.Join(filepath.Dir(hop), next)
			}
			parent, err := realPath(filepath.Dir(next))
			if err != nil {
				break // a dangling link
			}
			hop = filepath.Join(parent, filepath.Base(next))
			if within(parent, real) {
				return api.Errorf(api.CodeForbidden, "the sandbox %s contains %s, which %s in the %s leads to, so it may only be read; "+
					"a superuser must move the script or choose another sandbox", dir, hop, e.Name(), p.What)
			}
		}
	}
	return nil
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

// placeOf is realPath, but of a dangling link it returns where that leads: the
// place is protected although nothing is there now.
func placeOf(path string) (string, error) {
	for range maxHops {
		real, err := realPath(path)
		if err == nil || !isMissing(err) {
			return real, err
		}
		if path, err = danglingTarget(path); err != nil {
			return "", err
		}
	}
	return "", errors.New("too many links")
}

// danglingTarget returns path with its first dangling link replaced by what that
// holds.
func danglingTarget(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	rest := ""
	for {
		next, err := os.Readlink(path)
		if err == nil {
			if !filepath.IsAbs(next) {
				parent, err := filepath.EvalSymlinks(filepath.Dir(path))
				if err != nil {
					return "", err
				}
				next = filepath.Join(parent, next)
			}
			return filepath.Join(next, rest), nil
		}
		parent := filepath.Dir(path)
		if parent == path {
			return "", err
		}
		path, rest = parent, filepath.Join(filepath.Base(path), rest)
	}
}

// isMissing reports whether a path leads to nothing, or through a file.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
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
		if !isMissing(err) {
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
