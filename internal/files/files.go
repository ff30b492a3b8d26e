// Package files implements the commands ls, lsRoots, du, mkdir, mv and rm on
// the files of a user's sandbox. Paths are those of the API, where / is the
// sandbox. No function leaves the sandbox, enters the state directory, or
// touches the part files of a transfer that is being received.
package files

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// Accounts opens sandboxes. *account.Service implements it.
type Accounts interface {
	Sandbox(ctx context.Context, userName string, use account.Use) (*account.Sandbox, error)
}

// Receptions knows where the part files of received transfers are.
// *receiver.Receiver implements it.
type Receptions interface {
	// PartDirs lists the directories with the part files of unfinished
	// transfers, as absolute paths without links.
	PartDirs(ctx context.Context) ([]string, error)
	// Reserved reports whether a file name has the form of such a directory's
	// name.
	Reserved(name string) bool
}

// Options configure a Service.
type Options struct {
	// Accounts opens sandboxes. Required.
	Accounts Accounts
	// Receptions knows where part files are. Required.
	Receptions Receptions
	// MaxEntries is how many entries du counts before it gives up; 0 is 20
	// million.
	MaxEntries int64
	// MaxDepth is how many directories deep du and rm go; 0 is 128. Each level
	// takes two open files.
	MaxDepth int
	// Walks is how many trees du and rm walk at the same time, and half of it
	// for one user; further calls wait. 0 is 2.
	Walks int
}

// Service works on the files of users. Safe for concurrent use.
type Service struct {
	o     Options
	walks chan struct{} // holds a token for each walk

	mu     sync.Mutex
	byUser map[string]*userWalks // of users who have calls that walk or wait
}

// userWalks limits the walks of one user.
type userWalks struct {
	walks chan struct{} // holds a token for each walk
	calls int           // that walk or wait
}

// New returns a Service.
func New(o Options) (*Service, error) {
	if o.Accounts == nil || o.Receptions == nil {
		return nil, errors.New("files: Accounts and Receptions are required")
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = 20_000_000
	}
	if o.MaxDepth == 0 {
		o.MaxDepth = 128
	}
	if o.Walks == 0 {
		o.Walks = 2
	}
	return &Service{o: o, walks: make(chan struct{}, o.Walks), byUser: map[string]*userWalks{}}, nil
}

// acquireWalk waits until the user may walk a tree. Calls of one user first
// wait for each other, so that no user occupies all walks.
func (s *Service) acquireWalk(ctx context.Context, user string) (release func(), err error) {
	u, leave := s.enter(user)
	select {
	case u.walks <- struct{}{}:
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
	select {
	case s.walks <- struct{}{}:
	case <-ctx.Done():
		<-u.walks
		leave()
		return nil, ctx.Err()
	}
	return func() {
		<-s.walks
		<-u.walks
		leave()
	}, nil
}

// enter registers a call of the user until leave is called.
func (s *Service) enter(user string) (u *userWalks, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u = s.byUser[user]; u == nil {
		u = &userWalks{walks: make(chan struct{}, max(1, s.o.Walks/2))}
		s.byUser[user] = u
	}
	u.calls++
	return u, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if u.calls--; u.calls == 0 {
			delete(s.byUser, user)
		}
	}
}

// Principal is the user on whose behalf files are used.
type Principal struct {
	// User is the name of the account.
	User string
	// Within is the path of the sandbox's root in the user's API: / or the
	// directory that an API token is confined to. Accounts enforces it.
	Within string
}

// location is a path in an opened sandbox. It must be closed.
type location struct {
	box       *account.Sandbox
	path      string   // in the API, cleaned
	rel       string   // below box.Root, without links
	partDirs  []string // see Receptions.PartDirs
	principal Principal
}

func (p *location) close() { _ = p.box.Close() }

// open opens the sandbox and resolves a path in it, which need not exist. A
// path among the part files of a transfer is a conflict.
func (s *Service) open(ctx context.Context, principal Principal, apiPath string, use account.Use, followLast bool) (*location, error) {
	clean, err := account.CleanPath(apiPath)
	if err != nil {
		return nil, err
	}
	partDirs, err := s.o.Receptions.PartDirs(ctx)
	if err != nil {
		return nil, err
	}
	box, err := s.o.Accounts.Sandbox(ctx, principal.User, use)
	if err != nil {
		return nil, err
	}
	p := &location{box: box, path: clean, partDirs: partDirs, principal: principal}
	if p.rel, err = p.resolve(clean, followLast); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *location) resolve(clean string, followLast bool) (rel string, err error) {
	if rel, err = p.box.Resolve(clean, followLast); err != nil {
		return "", err
	}
	for _, part := range p.partDirs {
		if within(p.box.Absolute(rel), part) {
			return "", api.Errorf(api.CodeConflict, "path %s holds part files of a transfer that is being received; wait for its end, or find it with recv.getTransfers and end it with recv.cancelTransfer", api.Quote(clean))
		}
	}
	return rel, nil
}

// isRoot reports whether it is the root of what the principal may use, which
// can neither be moved nor removed.
func (p *location) isRoot() bool { return p.rel == "." }

// checkNoPartFiles refuses a location that contains the part files of a
// transfer.
func (p *location) checkNoPartFiles() error {
	for _, part := range p.partDirs {
		if within(part, p.box.Absolute(p.rel)) {
			return api.Errorf(api.CodeConflict, "a transfer is being received below %s; wait for its end, or find it with recv.getTransfers and end it with recv.cancelTransfer", api.Quote(p.path))
		}
	}
	return nil
}

// isHidden reports whether an entry of the directory is part files, which lists
// leave out.
func (p *location) isHidden(name string) bool {
	abs := p.box.Absolute(path.Join(p.rel, name))
	for _, part := range p.partDirs {
		if within(abs, part) {
			return true
		}
	}
	return false
}

// within reports whether name is dir or is below it. It compares only the texts
// of the two, which are absolute paths without links.
func within(name, dir string) bool {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		name, dir = strings.ToLower(name), strings.ToLower(dir)
	}
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(dir, string(filepath.Separator)))
	return ok && (rest == "" || os.IsPathSeparator(rest[0]))
}

// openDir opens the directory that Lstat has described by fi. It fails if
// something else has replaced it since.
func openDir(parent *os.Root, name string, fi os.FileInfo) (*os.Root, error) {
	dir, err := parent.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	opened, err := dir.Stat(".")
	if err == nil && !os.SameFile(fi, opened) {
		err = &os.PathError{Op: "open", Path: name, Err: errors.New("it was exchanged meanwhile")}
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}
