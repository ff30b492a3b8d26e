package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// PrepareDir makes state directory dir (mode 0700) if it is missing and checks
// that nobody else can write to it: it must belong to the caller (root may use
// anybody's), and group and others must not write. What it cannot mend it says.
func PrepareDir(dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("state directory %s must be an absolute path", dir)
	}
	if err := makeDir(dir); err != nil {
		return fmt.Errorf("state directory %s cannot be made (%w); choose another with --persistent-state-dir", dir, bare(err))
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("state directory %s cannot be used (%w)", dir, bare(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("state directory %s is no directory; choose another with --persistent-state-dir", dir)
	}
	if err := ownedSafely(info); err != nil {
		return fmt.Errorf("state directory %s %w", dir, err)
	}
	return nil
}

// makeDir makes the state directory unless it is there. One that root makes belongs to
// the owner of the directory that it is in, the user that the service runs as.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return giveDir(dir)
}

// MakeDir makes a directory in a state directory, for the owner of that.
func MakeDir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return giveDir(path)
}

func giveDir(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return err
	}
	return errors.Join(GiveToOwner(f, filepath.Dir(path)), f.Close())
}

// openOwn opens a file of a state directory for reading and writing, and makes it,
// for the owner of the directory, unless it is there. A symbolic link is an error: by
// it whoever owns the directory could lead root to any file.
func openOwn(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|noFollow, 0o600)
	if err != nil {
		return nil, err
	}
	if err := GiveToOwner(f, filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ErrLocked tells that another process works on the state directory.
var ErrLocked = errors.New("in use")

const (
	// lockGrace is how long a lock is waited for: a process that was killed while
	// it started a script leaves it to the script's process until that runs
	// another program.
	lockGrace = time.Second
	lockRetry = 10 * time.Millisecond
)

// lock takes the state directory for this process until unlock is called or
// the process ends, however it ends. A directory that another process has is an
// ErrLocked whose text says so.
func lock(ctx context.Context, dir string) (unlock func() error, err error) {
	path := filepath.Join(dir, "lock")
	f, err := openOwn(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, noPermission(dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("state directory %s cannot be locked (its file lock: %w)", dir, bare(err))
	}
	if err = lockWithin(ctx, f, lockGrace); err == nil {
		writeHolder(f)
		return f.Close, nil
	}
	holder := readHolder(f)
	_ = f.Close()
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("state directory %s is %w by another JetStream process%s; stop that one, or give this one "+
			"its own with --persistent-state-dir", dir, ErrLocked, holder)
	}
	return nil, fmt.Errorf("state directory %s cannot be locked (%w)", dir, err)
}

// writeHolder says in the lock's file who has it. That is for people alone: what
// cannot be written is left out.
func writeHolder(f *os.File) {
	if f.Truncate(0) == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
}

// readHolder is " (pid N)", or empty where that is not known.
func readHolder(f *os.File) string {
	pid := 0
	if _, err := fmt.Fscan(f, &pid); err != nil || pid <= 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}

// lockWithin takes the lock as soon as it is free.
func lockWithin(ctx context.Context, f *os.File, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		err := lockFile(f)
		if !errors.Is(err, ErrLocked) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(lockRetry):
		}
	}
}

// noPermission is the error of a directory that the caller must not use.
func noPermission(dir string, err error) error {
	return fmt.Errorf("state directory %s cannot be used (%w); run as its owner or root, or choose another with --persistent-state-dir", dir, bare(err))
}

// Files of builds before this one.
const (
	// formerJournal held trigger runs and log entries that were on disk and not
	// yet in the database. It was written ahead with zeros, and began with the
	// head of its first record; a server that was stopped left none.
	formerJournal     = "journal"
	formerJournalHead = 24
	formerGeneration  = "accounts.generation"
)

// removeFormerFiles removes what builds before this one left in the state
// directory. What may hold events is not removed: it is an error.
func removeFormerFiles(dir string) error {
	path := filepath.Join(dir, formerJournal)
	f, err := os.Open(path)
	if err == nil {
		var head [formerJournalHead]byte
		_, err = f.ReadAt(head[:], 0)
		_ = f.Close()
		if head != [formerJournalHead]byte{} {
			return fmt.Errorf("state directory %s was left by an earlier build of JetStream that did not stop cleanly: its file %s may hold queued events that this build "+
				"cannot read; start that build on it once more and stop it, or remove the file. The events in a removed file are lost", dir, formerJournal)
		}
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("state directory %s cannot be used (%w)", dir, bare(err))
	}
	for _, name := range []string{formerJournal, formerGeneration} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("state directory %s cannot be used (%w)", dir, bare(err))
		}
	}
	return nil
}

// bare takes the operation and path off a path error whose path is in the
// sentence already.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
