// Package store keeps the server's state in one SQLite database and implements
// the small interfaces that transfer, triggers and account declare: Transfers,
// Runs and Accounts are views of one DB. It is the only room with SQL, and it
// owns the transaction.
//
// There is one writer. Those who want to write at the same time share a
// commit, and so an fsync (group commit): the first becomes the leader, takes
// whatever waits into one SQLite transaction, and answers everybody. Readers
// use connections of their own and never wait for the writer (WAL).
//
// In the server, what only adds trigger runs and entries is committed by a
// journal, and gets into the tables later, before anybody looks.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"jetstream/internal/store/lite"
	"jetstream/internal/stream"
	"jetstream/triggers"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite": pure Go
)

// File is the database's name inside the state directory.
const File = "jetstream.db"

// maxReaders are the connections that read.
const maxReaders = 8

//go:embed schema/*.sql
var schema embed.FS

// DB is the server's database. It is safe for concurrent use, also beside
// other processes that have it open (jetstream user).
type DB struct {
	readers *readers
	current *current

	// The writer connection belongs to who has locked tables.
	tables    sync.Mutex
	writers   *sql.DB
	writer    *sql.Conn
	writes    writes
	runNote   func(stream.Tx, *triggers.Run) error // see NoteRuns
	processes *processes
	lax       bool // the writer's present synchronous setting is NORMAL

	// The journal belongs to the leader of a group commit; see OpenServer.
	journal            *journal // nil: none
	lastRun, lastEntry int64    // the highest numbers that were given
	relieving          atomic.Bool
	background         sync.WaitGroup // of relieve

	mu      sync.Mutex
	pending []*request
	leading bool
	closed  bool

	writable writable
}

// Open opens or makes the database in state directory dir, which must exist,
// and brings its schema up to date. Close it last of all.
func Open(ctx context.Context, dir string) (*DB, error) {
	path := filepath.Join(dir, File)
	if f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("state directory %s cannot be used (%w); run as its owner or root, or choose another with --persistent-state-dir", dir, bare(err))
	} else if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	} else if err := errors.Join(giveToOwner(f, dir), f.Close()); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	dsn := databaseURI(filepath.ToSlash(path)) +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)"
	db := &DB{writes: newWrites(), processes: newProcesses(dir)}
	var err error
	if db.writers, err = sql.Open("sqlite", dsn+"&_pragma=synchronous(FULL)&_txlock=immediate"); err != nil {
		return nil, err
	}
	db.writers.SetMaxOpenConns(1)
	if db.writer, err = db.writers.Conn(ctx); err != nil {
		_ = db.writers.Close()
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db.writable.dir = dir
	if err = db.migrate(ctx); err != nil {
		_ = db.writer.Close()
		_ = db.writers.Close()
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db.readers = &readers{lite.New(path, maxReaders)}
	db.current = openCurrent(dir)
	return db, nil
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

// migrate applies the schema files that the database has not seen, in the
// order of their names, each in its own transaction. user_version counts them.
func (db *DB) migrate(ctx context.Context) error {
	files, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		return err
	}
	var version int
	if err := db.writer.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(files) {
		return fmt.Errorf("it was made by a newer JetStream (schema %d, this one knows %d)", version, len(files))
	}
	for i := version; i < len(files); i++ {
		text, err := schema.ReadFile(files[i])
		if err != nil {
			return err
		}
		script := fmt.Sprintf("BEGIN IMMEDIATE;\n%s\nPRAGMA user_version = %d;\nCOMMIT;", text, i+1)
		if _, err := db.writer.ExecContext(ctx, script); err != nil {
			_, _ = db.writer.ExecContext(ctx, "ROLLBACK")
			return fmt.Errorf("%s: %w", files[i], err)
		}
	}
	return nil
}

// Close waits for the commit in progress and closes the database; later
// updates fail. A second Close does nothing.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return nil
	}
	db.closed = true
	db.mu.Unlock()
	// An update that was accepted before is carried out first: the leader
	// returns only when nobody waits.
	idle := &request{fn: (*tx).begin, done: make(chan error, 1)}
	err := db.submit(context.Background(), idle, true)
	db.background.Wait()
	if db.journal != nil {
		err = errors.Join(err, db.journal.close(err == nil))
	}
	db.tables.Lock() // from who settles what could not be saved
	defer db.tables.Unlock()
	return errors.Join(err, db.closeStatements(), db.writer.Close(), db.writers.Close(), db.current.close(), db.readers.Close(), db.processes.close())
}
