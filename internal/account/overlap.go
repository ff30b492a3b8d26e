package account

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"jetstream/internal/api"
)

// Protected is a directory or file that received data must never reach.
type Protected struct {
	// What names it in messages: "trigger directory".
	What string
	// Path is where it is, absolute.
	Path string
	// Secret places are never even read by way of a sandbox.
	Secret bool
	// Scripts tells that what links in the directory lead to is run: it must
	// stay out of reach as well.
	Scripts bool
}

// Use says what a sandbox is opened for.
type Use int

// The uses of a sandbox.
const (
	Read  Use = iota // send, ls, du
	Write            // receive, mkdir, mv, rm
)

// CheckOverlap tells whether dir may be used as a sandbox: received data can
// never become a script. Equal to or inside a protected place it is always
// forbidden; containing one it is forbidden to Write. Links are followed, and
// places are compared by identity where they exist, so that neither a link nor
// another spelling of a name passes. dir need not exist. Codes: forbidden,
// naming both paths; internal when a place cannot be looked at.
func CheckOverlap(dir string, use Use, protected []Protected) error {
	real, err := realPath(dir)
	if err != nil {
		return api.Wrap(err, api.CodeForbidden, "the sandbox %s cannot be looked at, so it may not be used", dir)
	}
	for _, p := range protected {
		place, err := realPath(p.Path)
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

// Overlap tells whether one of two directories is the other or lies in it. They
// are compared as CheckOverlap does, and need not exist.
func Overlap(a, b string) (bool, error) {
	realA, errA := realPath(a)
	realB, errB := realPath(b)
	if err := errors.Join(errA, errB); err != nil {
		return false, err
	}
	return within(realA, realB) || within(realB, realA), nil
}

// maxHops bounds how many links may lead to one script, as the kernel does.
const maxHops = 40

// checkLinks refuses a sandbox that holds what a link in the trigger directory
// leads to, or a link on the way there: a received file could take its place.
func checkLinks(dir, real string, p Protected) error {
	entries, err := os.ReadDir(p.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return api.Wrap(err, api.CodeInternal, "the %s %s cannot be looked at, so no sandbox may be changed", p.What, p.Path)
	}
	for _, e := range entries {
		hop := filepath.Join(p.Path, e.Name())
		for range maxHops {
			next, err := os.Readlink(hop)
			if err != nil {
				break // not a link: the end of the way
			}
			if !filepath.IsAbs(next) {
				next = filepath.Join(filepath.Dir(hop), next)
			}
			parent, err := realPath(filepath.Dir(next))
			if err != nil {
				break // leads nowhere
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

// within tells whether path is dir or lies in it; both are real paths.
func within(path, dir string) bool {
	if _, inside := below(path, dir); inside {
		return true
	}
	dirInfo, err := os.Lstat(dir)
	if err != nil {
		return false // what is not there has no other name
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

// below returns path relative to dir when it is dir or lies in it, by the
// text alone; both are clean and absolute.
func below(path, dir string) (rel string, inside bool) {
	rel, err := filepath.Rel(dir, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return rel, true
}

// realPath follows the links in path, of which the end need not exist. A link
// to what does not exist is an error: where it will lead is not known.
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
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if _, lerr := os.Lstat(path); lerr == nil {
			return "", err // it is there, but leads nowhere
		}
		parent := filepath.Dir(path)
		if parent == path {
			return "", err
		}
		path, missing = parent, filepath.Join(filepath.Base(path), missing)
	}
}
