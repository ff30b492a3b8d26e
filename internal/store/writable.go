package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// probeRoom is how much must fit onto the disk before it counts as having
	// room again: small changes find a place in the log on a full disk too.
	probeRoom = 1 << 20
	// probeEvery is how often that is tried at most.
	probeEvery = time.Second
	// probeFile is what it is tried with. There is one at most, so that servers
	// that are killed meanwhile leave no more than that.
	probeFile = "probe"
)

// writable knows whether the disk takes the database's changes.
type writable struct {
	dir string

	mu     sync.Mutex
	fault  error // why it does not; nil: it does
	probed time.Time
}

// notice takes note of how an update ended.
func (w *writable) notice(err error) {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return
	}
	const primary = 0xff
	switch e.Code() & primary {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		w.mu.Lock()
		w.fault = told(err)
		w.mu.Unlock()
	}
}

// ok tells whether nothing is known to be wrong.
func (w *writable) ok() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fault == nil
}

// Writable tells whether changes can be saved. After one that could not it
// tries, once a second at most, whether there is room again: recovered tells
// that this call found so.
func (db *DB) Writable(ctx context.Context) (recovered bool, err error) {
	w := &db.writable
	w.mu.Lock()
	fault, due := w.fault, time.Since(w.probed) >= probeEvery
	if fault != nil && due {
		w.probed = time.Now()
	}
	w.mu.Unlock()
	if fault == nil || !due {
		return false, fault
	}
	err = errors.Join(w.probe(), db.SetMeta(ctx, "probed", time.Now().UTC().Format(time.RFC3339)))
	if err != nil {
		return false, fault
	}
	w.mu.Lock()
	w.fault = nil
	w.mu.Unlock()
	return true, nil
}

// probe tries whether the disk has room.
func (w *writable) probe() error {
	f, err := os.OpenFile(filepath.Join(w.dir, probeFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeRoom))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}
