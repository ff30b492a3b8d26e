package account

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"jetstream/internal/api"
)

// Sandbox is a user's directory, opened for one piece of work. Safe for
// concurrent use until Close.
type Sandbox struct {
	// Root is the directory. Its methods cannot leave it, whatever is done to
	// the tree meanwhile; give them what Resolve returns.
	Root *os.Root
	// Dir is its absolute path without links.
	Dir string

	configured string // as the account or the options name it
	prefix     string // the API path that Root is, without a / at the end
	self       os.FileInfo
	secret     []secretDir
}

type secretDir struct {
	what string
	info os.FileInfo
}

// SandboxDir is the directory that / means in u's paths, as configured; empty
// when u has none. It need not exist.
func (s *Service) SandboxDir(u User) string {
	if u.Sandbox != "" {
		return u.Sandbox
	}
	return strings.ReplaceAll(s.options.SandboxDir, "%u", u.Name)
}

// Sandbox opens the user's directory. The default one is made when it is not
// there. The rules of CheckOverlap hold at each call, after following links;
// whoever keeps a Sandbox for long calls again before each piece of work.
// A caller in ctx whose token is confined to a path gets what Confined gives,
// and nobody else's directory. Codes: notFound for the user, forbidden,
// conflict when there is no directory. Close the Sandbox after use.
func (s *Service) Sandbox(ctx context.Context, userName string, use Use) (*Sandbox, error) {
	caller, _ := api.CallerOf(ctx)
	within := caller.ConfinedTo()
	if within != "/" && !strings.EqualFold(caller.User, userName) {
		return nil, api.Errorf(api.CodeForbidden, "this token is confined to %q and cannot use the files of user %s", within, userName)
	}
	return s.Confined(ctx, userName, within, use)
}

// Confined is Sandbox for work that goes on without its caller: within is the
// directory, cleaned and as the user's API sees it, that files must lie in. The
// user's paths stay what they are; one that is outside, also by a link, is
// forbidden. Codes as Sandbox.
func (s *Service) Confined(ctx context.Context, userName, within string, use Use) (*Sandbox, error) {
	box, err := s.whole(ctx, userName, use)
	if err != nil || within == "/" {
		return box, err
	}
	confined, err := box.confine(within)
	return confined, errors.Join(err, box.Close())
}

// confine opens the directory within of b as a sandbox of its own.
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

// whole opens all of the user's directory.
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
	// Before making anything: not even an empty directory may appear in a
	// protected place.
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
	// Again on what was opened, which another may have put there meanwhile.
	err = CheckOverlap(b.Dir, use, s.options.Protected)
	if err == nil {
		err = b.findSecrets(s.options.Protected)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// openSandbox opens dir and makes sure that Dir and Root are the same.
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

// Close frees the directory.
func (b *Sandbox) Close() error { return b.Root.Close() }

// Forbidden tells whether fi, from Stat or Lstat, is a place that must not
// even be read: a walk of the tree does not enter it.
func (b *Sandbox) Forbidden(fi os.FileInfo) bool { return b.secretName(fi) != "" }

func (b *Sandbox) secretName(fi os.FileInfo) string {
	for _, s := range b.secret {
		if os.SameFile(fi, s.info) {
			return s.what
		}
	}
	return ""
}

// Absolute is where a path that Resolve returned is on this machine.
func (b *Sandbox) Absolute(rel string) string {
	return filepath.Join(b.Dir, filepath.FromSlash(rel))
}
