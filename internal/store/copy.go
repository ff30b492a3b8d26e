package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	sqlite3 "modernc.org/sqlite/lib"
)

// Copy copies the database of state directory dir, as it is at one moment, into a new
// file in directory work. A server may be running on it: SQLite lets another process
// read what was committed. The copy has no remote passwords, in no page. schema is
// that of the copy.
func Copy(ctx context.Context, dir, work string) (path string, schema int, err error) {
	source := filepath.Join(dir, File)
	if _, err := os.Stat(source); err != nil {
		return "", 0, fmt.Errorf("the database %s cannot be read: %w", source, bare(err))
	}
	path = filepath.Join(work, "copy")
	// No other mode than rw: a read-only connection cannot recover the log of a server
	// that was killed.
	err = withDatabase(ctx, source, "mode=rw&_pragma=busy_timeout(10000)", func(conn *sql.Conn) error {
		return vacuumInto(ctx, conn, path)
	})
	if err != nil && ctx.Err() == nil && primaryCode(err) != sqlite3.SQLITE_FULL { // what is full is the place of the copy
		err = openError(source, err)
	}
	if err != nil {
		return "", 0, err
	}
	sealed := false
	err = withDatabase(ctx, path, "mode=rw&nolock=1&_pragma=journal_mode(OFF)", func(conn *sql.Conn) error {
		if schema, err = schemaOf(ctx, conn); err != nil {
			return err
		}
		if sealed, err = dropPasswords(ctx, conn); err != nil || !sealed {
			return err
		}
		// Pages from which they were removed may still hold them.
		return vacuumInto(ctx, conn, path+".stripped")
	})
	if err == nil && sealed {
		err = os.Rename(path+".stripped", path)
	}
	return path, schema, err
}

// dropPasswords removes the remote passwords; found reports whether there were any.
func dropPasswords(ctx context.Context, conn *sql.Conn) (found bool, err error) {
	var there bool
	err = conn.QueryRowContext(ctx, "SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'transfers'").Scan(&there)
	if err != nil || !there {
		return false, err
	}
	res, err := conn.ExecContext(ctx, "UPDATE transfers SET sealed_password = NULL WHERE sealed_password IS NOT NULL")
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// withDatabase calls fn with a connection to a database that is there. parameters are
// those of its URI.
func withDatabase(ctx context.Context, path, parameters string, fn func(*sql.Conn) error) (err error) {
	pool, err := sql.Open("sqlite", databaseURI(filepath.ToSlash(path))+"?"+parameters)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return fn(conn)
}

// vacuumInto writes what the database holds to a new file, for the caller alone, and
// syncs it. If it fails there is no file.
func vacuumInto(ctx context.Context, conn *sql.Conn, path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // SQLite takes an empty one
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(path)
		}
	}()
	// Nobody else has the file, and not every file system has locks.
	_, err = conn.ExecContext(ctx, "VACUUM INTO ?", databaseURI(filepath.ToSlash(path))+"?nolock=1")
	if primaryCode(err) == sqlite3.SQLITE_FULL {
		return fmt.Errorf("there is no room for a copy of the database in %s: %w", filepath.Dir(path), syscall.ENOSPC)
	}
	if err != nil {
		return err
	}
	return f.Sync()
}

func schemaOf(ctx context.Context, conn *sql.Conn) (version int, err error) {
	return version, conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
}

// schemaFiles lists the schema files in their order.
func schemaFiles() ([]string, error) { return fs.Glob(schema, "schema/*.sql") }
