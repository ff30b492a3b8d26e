package store

import (
	"errors"

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
