package store

import (
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"jetstream/internal/api"
)

// told says to people what of the database's errors they can mend; every
// other error stays as it is.
func told(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	const primary = 0xff // the other bits say more exactly where it happened
	switch e.Code() & primary {
	case sqlite3.SQLITE_FULL:
		return api.Wrap(err, api.CodeUnavailable, "the server's disk is full: make room where its state directory lies, and try again")
	case sqlite3.SQLITE_BUSY:
		return api.Wrap(err, api.CodeUnavailable, "another program holds the server's database; try again when it has ended")
	}
	return err
}
