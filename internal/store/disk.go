package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"jetstream/internal/api"
)

const (
	// probeSize is how much must fit onto the disk before it counts as being
	// free again: small changes find a place in the WAL on a full disk too.
	probeSize = 1 << 20
	// probeEvery is how often that is tried at most.
	probeEvery = time.Second
	// probeFile is what it is tried with. There is one at most, so that servers
	// that are killed meanwhile leave no more than that.
	probeFile = "probe"
)

// disk knows whether the disk takes the database's changes.
type disk struct {
	dir    string
	opened map[string]fs.FileInfo // the database's files by name

	mu     sync.Mutex
	gone   bool  // the file was not at its place when that was looked at last
	fault  error // why the disk takes no changes; nil: it does
	probed time.Time
}

// remember notes the files that the database has open: its own and its
// write-ahead log.
func (d *disk) remember() (err error) {
	d.opened = map[string]fs.FileInfo{}
	for _, name := range []string{File, File + "-wal"} {
		if d.opened[name], err = os.Stat(filepath.Join(d.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// Present returns an error if the database's files are no longer at their
// place, for changes that are not saved in it. Codes: unavailable.
func (db *DB) Present() error {
	if db.disk.replaced() {
		return db.disk.goneError()
	}
	return nil
}

// replaced reports whether a file of the database is no longer at its place.
func (d *disk) replaced() bool {
	for name, opened := range d.opened {
		fi, err := os.Stat(filepath.Join(d.dir, name))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !os.SameFile(fi, opened) {
			return true
		}
	}
	return false
}

func (d *disk) goneError() error {
	return api.Errorf(api.CodeUnavailable,
		"the state directory %s is gone or was replaced, or its database was, while the server runs, so nothing can be saved: put it back, or stop the server and start it with another", d.dir)
}

// missing returns an error if a file of the database is no longer at its place: what
// is saved into it then would be lost with it, and not be found by the next
// start. back reports whether it was missing when missing was called before.
// Codes: unavailable.
func (d *disk) missing() (back bool, err error) {
	gone := d.replaced()
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.gone
	d.gone = gone
	if gone {
		return false, d.goneError()
	}
	return was, nil
}

// observe takes note of how an update ended.
func (d *disk) observe(err error) {
	switch primaryCode(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		d.mu.Lock()
		d.fault = userError(err)
		d.mu.Unlock()
	}
}

// Writable tells whether changes can be saved. After one that could not it
// tries, once a second at most, whether there is space again: recovered tells
// that this call found so.
func (db *DB) Writable(ctx context.Context) (recovered bool, err error) {
	d := db.disk
	recovered, err = d.missing()
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	fault, due := d.fault, time.Since(d.probed) >= probeEvery
	if fault != nil && due {
		d.probed = time.Now()
	}
	d.mu.Unlock()
	if fault == nil || !due {
		return recovered && fault == nil, fault
	}
	err = errors.Join(d.probe(), db.SetMeta(ctx, "probed", time.Now().UTC().Format(time.RFC3339)))
	if err != nil {
		return false, fault
	}
	d.mu.Lock()
	d.fault = nil
	d.mu.Unlock()
	return true, nil
}

// probe tries whether the disk has space.
func (d *disk) probe() error {
	f, err := os.OpenFile(filepath.Join(d.dir, probeFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeSize))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}
