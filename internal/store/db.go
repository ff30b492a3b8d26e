// Package store keeps the server's state in one SQLite database and implements
// the small interfaces that transfer, triggers and account declare: Transfers,
// Runs, Accounts and the others are views of one DB. It is the only package
// with SQL, and it owns the transaction.
//
// There is one writer (writer.go). Those who want to write at the same time
// share a commit, and so an fsync (group commit). Readers use connections of
// their own and never wait for the writer (WAL).
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"jetstream/internal/stream"
	"jetstream/triggers"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite": pure Go
)

// File is the database's name inside the state directory.
const File = "jetstream.db"

//go:embed schema/*.sql
var schema embed.FS

// DB is the server's database. It is safe for concurrent use.
type DB struct {
	dir       string
	unlock    func() error
	writer    *writer
	readers   *readers
	accounts  *accountCache
	processes *processes
	disk      *disk
	upgraded  *Upgrade // nil: Open found the present schema

	onRunChange func(stream.Tx, *triggers.Run) error // nil: nothing to be called
}

// Open opens or makes the database in state directory dir, which must exist,
// and brings its schema up to date, for which it first copies a database that was in
// use. The directory belongs to this process until Close; one that another process has
// is an ErrLocked.
func Open(ctx context.Context, dir string) (*DB, error) { return open(ctx, dir, true) }

// open is Open; without keep, it makes no copy of the database.
func open(ctx context.Context, dir string, keep bool) (_ *DB, err error) {
	unlock, err := lock(ctx, dir)
	if err != nil {
		return nil, err
	}
	db := &DB{dir: dir, unlock: unlock, accounts: newAccountCache(), processes: newProcesses(dir), disk: &disk{dir: dir}}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.close())
		}
	}()
	if _, err := os.Stat(filepath.Join(dir, RestoreDir)); err == nil {
		return nil, fmt.Errorf("state directory %s is in the midst of a restore that was interrupted (%s is there): carry it out again, jetstream restore --replace FILE", dir, RestoreDir)
	}
	path := filepath.Join(dir, File)
	if err := makeFile(dir, path); err != nil {
		return nil, err
	}
	if err := removeFormerFiles(dir); err != nil {
		return nil, err
	}
	uri := databaseURI(filepath.ToSlash(path)) + "?_pragma=busy_timeout(10000)"
	if db.writer, err = openWriter(ctx, uri, db.disk); err != nil {
		return nil, openError(path, err)
	}
	if err := db.migrate(ctx, keep); err != nil {
		return nil, openError(path, err)
	}
	if db.readers, err = openReaders(ctx, uri); err != nil {
		return nil, openError(path, err)
	}
	if err := db.disk.remember(); err != nil {
		return nil, openError(path, err)
	}
	return db, nil
}

// makeFile makes the database's file, unless it is there, for the owner of the
// directory alone.
func makeFile(dir, path string) error {
	f, err := openOwn(path)
	if errors.Is(err, fs.ErrPermission) {
		return noPermission(dir, err)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return nil
}

// databaseURI is how SQLite wants an absolute path with slashes. One that
// begins with a drive's letter gets another slash: what stands right behind
// file:// would be a host.
func databaseURI(path string) string {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// update runs fn in a transaction that is on disk when update returns nil. fn
// may share the transaction with others; if it fails, its own changes alone are
// undone. An update that ctx does not stop before it is queued is carried
// through.
func (db *DB) update(ctx context.Context, fn func(*tx) error) error {
	return db.submit(ctx, &update{fn: marksKey(ctx, fn)})
}

// updateNoSync is update for what must survive kill -9 but not a power cut: it
// waits for no fsync. The next update that does makes it durable as well.
func (db *DB) updateNoSync(ctx context.Context, fn func(*tx) error) error {
	return db.submit(ctx, &update{fn: fn, noSync: true})
}

func (db *DB) submit(ctx context.Context, u *update) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u.tx.db = db
	return db.writer.run(u)
}

// Close waits for the updates that were accepted and closes the database; later
// ones fail. A second Close does nothing.
func (db *DB) Close() error {
	if !db.writer.stop() {
		return nil
	}
	return db.close()
}

func (db *DB) close() (err error) {
	if db.readers != nil {
		err = db.readers.close()
	}
	if db.writer != nil { // the last connection, which takes the WAL into the database
		err = errors.Join(err, db.writer.close())
	}
	return errors.Join(err, db.processes.close(), db.unlock())
}
