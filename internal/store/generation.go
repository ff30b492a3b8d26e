package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/api"
)

// generationFile is the file's name inside the state directory.
const generationFile = "accounts.generation"

const (
	// numberAt is where the number stands: behind the byte that lockFile locks,
	// which others cannot even read on Windows meanwhile.
	numberAt   = 8
	numberSize = 8
	// generationWait is how long a change waits for those of other processes,
	// as long as SQLite waits for theirs.
	generationWait = 10 * time.Second
	// namedFor is how long an open file is believed to have its name still.
	namedFor = 2 * time.Millisecond
	// newFor is how long a new file has no number, so that until it has one
	// everybody who had another in its place has noticed.
	newFor = 10 * time.Millisecond
)

// generation tells each process that works on a state directory whether the
// users and tokens that it keeps are as they were when it read them. That is
// asked before each answer, so it costs the reading of eight bytes: a number in
// a file beside the database.
//
// Whoever changes or removes users or tokens locks the file, writes an even
// number before the commit and an odd one after it. An odd number is settled:
// no change comes to pass while it stands there, so that what was read from the
// database meanwhile holds for as long as it does. The numbers are random. None
// comes again, whatever becomes of the file.
//
// A process that is killed on the way leaves the even number: everybody reads
// the database, which is slow and right. Its lock went with it, so that the
// next who sees the number can tell that it is nobody's, and settles it. A file
// that cannot be read, is cut short or was taken away is the same case. Nothing
// is synced: a power cut leaves no process that has kept anything.
type generation struct {
	dir string
	// turn holds a value while one here has the file's lock, which counts for
	// the whole process.
	turn chan struct{}

	mu    sync.RWMutex
	file  *os.File // nil if it could not be opened; another only with turn and mu
	began time.Time
	named atomic.Int64 // when file had its name, in nanoseconds since began
	ended bool         // with turn and mu
}

// openGeneration makes the file if it is missing. Without it all works, slowly.
func openGeneration(dir string) *generation {
	g := &generation{dir: dir, turn: make(chan struct{}, 1), began: time.Now()}
	g.settle()
	return g
}

// close waits for the change in progress.
func (g *generation) close() error {
	g.turn <- struct{}{}
	defer func() { <-g.turn }()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	if g.file == nil {
		return nil
	}
	return g.file.Close()
}

// number is the number in the file. What is read from the database after it was
// found settled is what the database holds for as long as it is found again.
func (g *generation) number() (n uint64, settled bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.file == nil {
		return 0, false
	}
	if now := g.now(); now-g.named.Load() >= int64(namedFor) {
		if !g.isNamed(g.file) {
			return 0, false
		}
		g.named.Store(now)
	}
	return numberIn(g.file)
}

func (g *generation) now() int64 { return int64(time.Since(g.began)) }

// numberIn is the number in f, 0 if there is none.
func numberIn(f *os.File) (n uint64, settled bool) {
	var b [numberSize]byte
	if _, err := f.ReadAt(b[:], numberAt); err != nil {
		return 0, false
	}
	n = binary.LittleEndian.Uint64(b[:])
	return n, n&1 == 1
}

func writeNumber(f *os.File, settled bool) error {
	var b [numberSize]byte
	_, _ = rand.Read(b[:]) // documented to never return an error
	b[0] &^= 1
	if settled {
		b[0] |= 1
	}
	_, err := f.WriteAt(b[:], numberAt)
	return err
}

// change carries out fn, which changes users or tokens. When fn returns, the
// change must be in the database or never get there.
func (g *generation) change(ctx context.Context, fn func() error) error {
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-g.turn }()
	f, err := g.lock(ctx, generationWait)
	if err == nil {
		defer g.end(f)
		err = writeNumber(f, false)
	}
	switch {
	case err == nil:
		return fn()
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrLocked):
		return api.Wrap(err, api.CodeUnavailable, "another program is changing users or tokens; try again when it has ended")
	}
	if _, ok := errors.AsType[*api.Error](err); ok {
		return err
	}
	// Without the number another process would go on with what it keeps.
	return api.Wrap(err, api.CodeUnavailable, "users and tokens cannot be changed because the file %s in the server's state directory "+
		"cannot be written; make room on the disk or remove the file, and try again", generationFile)
}

// end settles the number of a change and unlocks f. A number that cannot be
// written stays as it is.
func (g *generation) end(f *os.File) {
	_ = writeNumber(f, true)
	named := g.isNamed(f)
	_ = unlockFile(f)
	if named {
		return
	}
	// The file was taken away meanwhile, and another process may have settled
	// one in its place too early.
	if f, err := g.lock(context.Background(), generationWait); err == nil {
		_ = writeNumber(f, true)
		_ = unlockFile(f)
	}
}

// settle ends what a change left that was killed, unless one is in progress.
func (g *generation) settle() {
	select {
	case g.turn <- struct{}{}:
	default:
		return
	}
	defer func() { <-g.turn }()
	f, err := g.lock(context.Background(), 0)
	if err != nil {
		return
	}
	if _, settled := numberIn(f); !settled {
		_ = writeNumber(f, true)
	}
	_ = unlockFile(f)
}

// lock locks the file against other processes, for which it waits so long, and
// then gives ErrLocked. A new file is left so for its time. The caller has the
// turn, and leaves a number in the file.
func (g *generation) lock(ctx context.Context, wait time.Duration) (*os.File, error) {
	deadline := time.Now().Add(wait)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		f, err := g.open()
		if err != nil {
			return nil, err
		}
		if err = lockFile(f); err == nil {
			if n, _ := numberIn(f); n == 0 {
				time.Sleep(newFor)
			}
			return f, nil
		}
		if !errors.Is(err, ErrLocked) || !time.Now().Before(deadline) {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// open gives the file that has the name now. The caller has the turn.
func (g *generation) open() (*os.File, error) {
	if g.ended {
		return nil, api.Errorf(api.CodeUnavailable, "the server is stopping")
	}
	if g.file != nil && g.isNamed(g.file) {
		return g.file, nil
	}
	now := g.now()
	f, err := os.OpenFile(g.path(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := giveToOwner(f, g.dir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file != nil {
		_ = g.file.Close() // nothing waits to be written
	}
	g.file = f
	g.named.Store(now)
	return f, nil
}

// isNamed tells whether f is the file that has the name now.
func (g *generation) isNamed(f *os.File) bool {
	is, err := f.Stat()
	if err != nil {
		return false
	}
	at, err := os.Stat(g.path())
	return err == nil && os.SameFile(is, at)
}

func (g *generation) path() string { return filepath.Join(g.dir, generationFile) }
