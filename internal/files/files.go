// Package files shows and changes the files of a user's sandbox: what ls, du,
// mkdir, mv and rm do. Paths are those of the API, in which / is the sandbox.
// Nothing here leaves the sandbox, enters the state directory, or touches the
// part files of a transfer that is being received.
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

// Accounts opens sandboxes. *account.Service is one.
type Accounts interface {
	Sandbox(ctx context.Context, userName string, use account.Use) (*account.Sandbox, error)
}

// Receptions tells where part files of received transfers lie.
// *receiver.Receiver is one.
type Receptions interface {
	// PartDirs lists the directories of part files of unfinished transfers:
	// absolute, without links.
	PartDirs(ctx context.Context) ([]string, error)
	// Reserved tells whether a file name has the form of such a directory's.
	Reserved(name string) bool
}

// Options set a Service up.
type Options struct {
	// Accounts opens sandboxes. Required.
	Accounts Accounts
	// Receptions tells where part files lie. Required.
	Receptions Receptions
	// MaxEntries is how many entries du counts before it gives up; 0 is 20
	// million.
	MaxEntries int64
	// MaxDepth is how many directories deep du and rm go; 0 is 128. Each costs
	// two open files.
	MaxDepth int
	// Walks is how many trees are gone through at a time, by du and rm, and
	// half as many of one user; more wait for their turn. 0 is 2.
	Walks int
}

// Service works on the files of users. Safe for concurrent use.
type Service struct {
	o     Options
	walks chan struct{}

	mu     sync.Mutex
	queues map[string]*queue // by user, while one goes through a tree or waits
}

// queue is where one user's calls wait for each other before they wait for
// those of all.
type queue struct {
	walks chan struct{}
	calls int
}

// New makes a Service.
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
	return &Service{o: o, walks: make(chan struct{}, o.Walks), queues: map[string]*queue{}}, nil
}

// turn waits until a tree of the user's may be gone through. Whoever goes through
// many at a time waits for their own: another waits for one of them at most.
func (s *Service) turn(ctx context.Context, user string) (release func(), err error) {
	q, leave := s.queue(user)
	select {
	case q.walks <- struct{}{}:
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
	select {
	case s.walks <- struct{}{}:
	case <-ctx.Done():
		<-q.walks
		leave()
		return nil, ctx.Err()
	}
	return func() {
		<-s.walks
		<-q.walks
		leave()
	}, nil
}

// queue finds the user's queue, or begins one; leave lets go of it.
func (s *Service) queue(user string) (q *queue, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q = s.queues[user]; q == nil {
		q = &queue{walks: make(chan struct{}, max(1, s.o.Walks/2))}
		s.queues[user] = q
	}
	q.calls++
	return q, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if q.calls--; q.calls == 0 {
			delete(s.queues, user)
		}
	}
}

// Who is on whose behalf files are used.
type Who struct {
	// User is the account whose sandbox it is.
	User string
	// Within is the path that the opened sandbox has in the user's API: / or
	// what an API token is confined to. Accounts holds the confinement.
	Within string
}

// place is a path of a user's, opened for one piece of work; close it.
type place struct {
	box   *account.Sandbox
	path  string   // as the user knows it, cleaned
	rel   string   // below box.Root, through no link
	parts []string // see Receptions.PartDirs
	who   Who
}

func (p *place) close() { _ = p.box.Close() }

// open resolves a path. What it leads to need not exist. A place among the
// part files of a transfer is a conflict.
func (s *Service) open(ctx context.Context, who Who, apiPath string, use account.Use, followLast bool) (*place, error) {
	clean, err := account.CleanPath(apiPath)
	if err != nil {
		return nil, err
	}
	parts, err := s.o.Receptions.PartDirs(ctx)
	if err != nil {
		return nil, err
	}
	box, err := s.o.Accounts.Sandbox(ctx, who.User, use)
	if err != nil {
		return nil, err
	}
	p := &place{box: box, path: clean, parts: parts, who: who}
	if p.rel, err = p.resolve(clean, followLast); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *place) resolve(clean string, followLast bool) (rel string, err error) {
	if rel, err = p.box.Resolve(clean, followLast); err != nil {
		return "", err
	}
	for _, part := range p.parts {
		if within(p.box.Absolute(rel), part) {
			return "", api.Errorf(api.CodeConflict, "path %s holds part files of a transfer that is being received; wait for its end or cancel it", api.Quote(clean))
		}
	}
	return rel, nil
}

// isRoot tells whether the place is all that may be used: it cannot be moved
// or removed, only what is in it.
func (p *place) isRoot() bool { return p.rel == "." }

// free refuses to move or remove what holds the part files of a transfer.
func (p *place) free() error {
	for _, part := range p.parts {
		if within(part, p.box.Absolute(p.rel)) {
			return api.Errorf(api.CodeConflict, "a transfer is being received below %s; wait for its end or cancel it", api.Quote(p.path))
		}
	}
	return nil
}

// hidden tells whether the entry of that name below the place is not shown.
func (p *place) hidden(name string) bool {
	abs := p.box.Absolute(path.Join(p.rel, name))
	for _, part := range p.parts {
		if within(abs, part) {
			return true
		}
	}
	return false
}

// within tells by the text whether name is dir or lies in it; both are
// absolute and without links.
func within(name, dir string) bool {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		name, dir = strings.ToLower(name), strings.ToLower(dir)
	}
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(dir, string(filepath.Separator)))
	return ok && (rest == "" || os.IsPathSeparator(rest[0]))
}

// openDir opens the directory that fi, from Lstat, was seen at name: what has
// taken its place meanwhile is refused.
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
