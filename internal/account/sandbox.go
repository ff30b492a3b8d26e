package account

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"jetstream/internal/api"
)

// Sandbox is an opened directory with a user's files. Safe for concurrent use
// until Close.
type Sandbox struct {
	// Root is the directory. Its methods cannot leave it, even if the tree is
	// changed meanwhile. Their arguments should be results of Resolve.
	Root *os.Root
	// Dir is its absolute path without links.
	Dir string

	configured string // the path in the account or the options
	prefix     string // API path of Root, without a trailing /
	self       os.FileInfo
	secret     []secretDir
}

type secretDir struct {
	what string
	info os.FileInfo
}

// SandboxDir returns the configured sandbox of u, which need not exist; empty
// if u has none.
func (s *Service) SandboxDir(u User) string {
	if u.Sandbox != "" {
		return u.Sandbox
	}
	return strings.ReplaceAll(s.options.SandboxDir, "%u", u.Name)
}

// Sandbox opens the user's sandbox, which must be closed. It makes the default
// directory if that does not exist. CheckOverlap is applied at each call, so
// that long work should open the sandbox anew from time to time. If the token
// of the caller in ctx is confined to a path, the sandbox is that of Confined,
// and the sandboxes of other users are forbidden. Codes: notFound for the user,
// forbidden, conflict when there is no directory.
func (s *Service) Sandbox(ctx context.Context, userName string, use Use) (*Sandbox, error) {
	caller, _ := api.CallerOf(ctx)
	within := caller.ConfinedTo()
	if within != "/" && !strings.EqualFold(caller.User, userName) {
		return nil, api.Errorf(api.CodeForbidden, "this token is confined to %q and cannot use the files of user %s", within, userName)
	}
	return s.Confined(ctx, userName, within, use)
}

// Confined opens the part of the user's sandbox that is below the cleaned API
// path within. Paths are still those of the whole sandbox; one that leads
// outside of within, also by a link, is forbidden. Codes as Sandbox.
func (s *Service) Confined(ctx context.Context, userName, within string, use Use) (*Sandbox, error) {
	box, err := s.whole(ctx, userName, use)
	if err != nil || within == "/" {
		return box, err
	}
	confined, err := box.confine(within)
	return confined, errors.Join(err, box.Close())
}

// confine opens the directory within of b as a sandbox.
func (b *Sandbox) confine(within string) (*Sandbox, error) {
	rel, err := b.Resolve(within, true)
	if err != nil {
		return nil, err
	}
	root, err := b.Root.OpenRoot(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Wrap(err, api.CodeConflict, "the directory %s that this token is confined to does not exist; make it first", api.Quote(within))
	}
	if err != nil {
		return nil, api.Wrap(err, api.CodeConflict, "the directory %s that this token is confined to cannot be opened; is it a directory?", api.Quote(within))
	}
	self, err := root.Stat(".")
	if err == nil && b.Forbidden(self) {
		err = api.Errorf(api.CodeForbidden, "path %s leads into the server's %s, which nobody may read", api.Quote(within), b.secretName(self))
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &Sandbox{
		Root: root, Dir: b.Absolute(rel), configured: filepath.Join(b.configured, filepath.FromSlash(rel)),
		prefix: within, self: self, secret: b.secret,
	}, nil
}

// whole opens the whole sandbox of the user.
func (s *Service) whole(ctx context.Context, userName string, use Use) (*Sandbox, error) {
	u, err := s.User(ctx, userName)
	if err != nil {
		return nil, err
	}
	dir := s.SandboxDir(u)
	if dir == "" {
		return nil, api.Errorf(api.CodeForbidden, "user %s has no sandbox, so no files may be read or written; a superuser must give the account one", u.Name)
	}
	if u.Sandbox == "" && runtime.GOOS == "windows" && WindowsNameFault(u.Name) != "" {
		return nil, api.Errorf(api.CodeForbidden, "the name of user %s cannot be that of a directory on this server (Windows); a superuser must give the account a sandbox", u.Name)
	}
	if !filepath.IsAbs(dir) {
		return nil, api.Errorf(api.CodeForbidden, "the sandbox %s of user %s is not an absolute path; a superuser must correct it", dir, u.Name)
	}
	// Before the directory is made: not even an empty one may appear in a
	// protected directory.
	if err := CheckOverlap(dir, use, s.options.Protected); err != nil {
		return nil, err
	}
	if u.Sandbox == "" {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			s.log.WarnContext(ctx, "the sandbox of a user cannot be made", "user", u.Name, "error", err)
			return nil, api.Wrap(err, api.CodeConflict, "the sandbox %s of user %s cannot be made; the server's log says why", dir, u.Name)
		}
	}
	b, err := openSandbox(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Wrap(err, api.CodeConflict, "the sandbox %s of user %s does not exist; make the directory or choose another", dir, u.Name)
	}
	if err != nil {
		s.log.WarnContext(ctx, "the sandbox of a user cannot be opened", "user", u.Name, "error", err)
		return nil, api.Wrap(err, api.CodeConflict, "the sandbox %s of user %s cannot be opened; the server's log says why", dir, u.Name)
	}
	// Again for the opened directory, which may have been replaced meanwhile.
	err = CheckOverlap(b.Dir, use, s.options.Protected)
	if err == nil {
		err = b.findSecrets(s.options.Protected)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// openSandbox opens dir. Dir and Root of the result are the same directory.
func openSandbox(dir string) (*Sandbox, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	named, err := os.Lstat(real)
	if err == nil && !os.SameFile(opened, named) {
		err = errors.New("it was replaced while it was opened")
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &Sandbox{Root: root, Dir: real, configured: filepath.Clean(dir), self: opened}, nil
}

func (b *Sandbox) findSecrets(protected []Protected) error {
	for _, p := range protected {
		if !p.Secret {
			continue
		}
		fi, err := os.Stat(p.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return api.Wrap(err, api.CodeInternal, "the %s cannot be looked at, so no sandbox may be used", p.What)
		}
		b.secret = append(b.secret, secretDir{p.What, fi})
	}
	return nil
}

// Path returns the API path of Root: / or, of a sandbox that is confined to it, that of
// the directory.
func (b *Sandbox) Path() string { return cmp.Or(b.prefix, "/") }

// Close closes the directory.
func (b *Sandbox) Close() error { return b.Root.Close() }

// Forbidden reports whether fi, from Stat or Lstat, is a secret directory,
// which must not be read.
func (b *Sandbox) Forbidden(fi os.FileInfo) bool { return b.secretName(fi) != "" }

func (b *Sandbox) secretName(fi os.FileInfo) string {
	for _, s := range b.secret {
		if os.SameFile(fi, s.info) {
			return s.what
		}
	}
	return ""
}

// Absolute returns the absolute path of a result of Resolve.
func (b *Sandbox) Absolute(rel string) string {
	return filepath.Join(b.Dir, filepath.FromSlash(rel))
}
