package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"jetstream/internal/api"
)

// userError says in words for the caller which errors of the database the
// caller or the operator can mend; every other error stays as it is.
func userError(err error) error {
	switch primaryCode(err) {
	case sqlite3.SQLITE_FULL:
		return api.Wrap(err, api.CodeUnavailable, "the server's disk is full: make room where its state directory lies, and try again")
	case sqlite3.SQLITE_BUSY:
		return api.Wrap(err, api.CodeUnavailable, "another program holds the server's database; try again when it has ended")
	}
	return err
}

// primaryCode is the kind of an error of SQLite, SQLITE_OK for any other error.
func primaryCode(err error) int {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return sqlite3.SQLITE_OK
	}
	return e.Code() & 0xff // the other bits say more exactly where it happened
}

// openError says why a database cannot be opened, and the way out.
func openError(path string, err error) error {
	switch primaryCode(err) {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("the disk of the state directory %s is full: make room there and start again: %w", filepath.Dir(path), err)
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("the database %s is damaged: put back a copy of it, or move it away to begin without users, transfers and waiting events: %w", path, err)
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("the database %s could not be read or written: look at the disk and its room, and start again: %w", path, err)
	}
	return fmt.Errorf("open database %s: %w", path, err)
}
