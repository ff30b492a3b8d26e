package store

import (
	"context"
	"database/sql"
	"errors"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

const userColumns = "name, superuser, sandbox, disabled, hash, create_time"

// Accounts is the database as accounts see it: it implements account.Store.
// Other processes may change users at the same time: what is answered is what
// the database holds at that moment (see current).
type Accounts struct{ db *DB }

// Accounts returns the view of the users.
func (db *DB) Accounts() *Accounts { return &Accounts{db} }

var _ account.Store = (*Accounts)(nil)

type scanner interface{ Scan(dest ...any) error }

// scanUser reads userColumns; no row is notFound.
func scanUser(row scanner, name string) (account.User, error) {
	var u account.User
	err := row.Scan(&u.Name, &u.Superuser, &u.Sandbox, &u.Disabled, &u.Hash, &u.CreateTime)
	if errors.Is(err, sql.ErrNoRows) {
		return account.User{}, noUser(name)
	}
	return u, err
}

func noUser(name string) error {
	return api.Errorf(api.CodeNotFound, "there is no user %q", name)
}

// InsertUser implements account.Store.
func (a *Accounts) InsertUser(ctx context.Context, u account.User) error {
	return a.db.update(ctx, func(t *tx) error {
		r, err := t.exec("INSERT INTO users ("+userColumns+") VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
			u.Name, u.Superuser, u.Sandbox, u.Disabled, u.Hash, u.CreateTime)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		switch {
		case err != nil:
			return err
		case n == 1:
			return t.disown(u.Name)
		}
		return api.Errorf(api.CodeConflict, "there is a user %q already (names differ by more than upper and lower case); choose another name", u.Name)
	})
}

// User implements account.Store.
func (a *Accounts) User(ctx context.Context, name string) (account.User, error) {
	return lookUp(a.db.current, a.db.current.users, name, func() (account.User, error) {
		return scanUser(a.db.readers.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users WHERE name = ?", name), name)
	})
}

// Users implements account.Store.
func (a *Accounts) Users(ctx context.Context, after string, limit int) (users []account.User, err error) {
	before := int64(1) << 62
	if after != "" {
		err := a.db.readers.QueryRowContext(ctx, "SELECT seq FROM users WHERE name = ?", after).Scan(&before)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, noUser(after)
		}
		if err != nil {
			return nil, err
		}
	}
	rows, err := a.db.readers.QueryContext(ctx,
		"SELECT "+userColumns+" FROM users WHERE seq < ? ORDER BY seq DESC LIMIT ?", before, limit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		u, err := scanUser(rows, "")
		if err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, rows.Err()
}

// UpdateUser implements account.Store. The name and the time of creation stay
// whatever change does to them.
func (a *Accounts) UpdateUser(ctx context.Context, name string, change func(*account.User) error) (account.User, error) {
	var u account.User
	err := a.db.updateAccounts(ctx, func(t *tx) error {
		row, err := t.queryRow("SELECT "+userColumns+" FROM users WHERE name = ?", name)
		if err != nil {
			return err
		}
		have, err := scanUser(row, name)
		if err != nil {
			return err
		}
		u = have
		if err := change(&u); err != nil {
			return err
		}
		u.Name, u.CreateTime = have.Name, have.CreateTime
		return t.keepSuperuser(u.Name, func() error {
			_, err := t.exec("UPDATE users SET superuser = ?, sandbox = ?, disabled = ?, hash = ? WHERE name = ?",
				u.Superuser, u.Sandbox, u.Disabled, u.Hash, u.Name)
			return err
		})
	})
	if err != nil {
		return account.User{}, err
	}
	return u, nil
}

// DeleteUser implements account.Store.
func (a *Accounts) DeleteUser(ctx context.Context, name string) error {
	return a.db.updateAccounts(ctx, func(t *tx) error {
		return t.keepSuperuser(name, func() error {
			r, err := t.exec("DELETE FROM users WHERE name = ?", name) // their tokens go with them
			if err != nil {
				return err
			}
			if n, err := r.RowsAffected(); err != nil || n != 1 {
				return errors.Join(err, noUser(name))
			}
			// A later user of that name shall not get the answers of this one.
			_, err = t.exec("DELETE FROM replays WHERE owner = ?", name)
			return err
		})
	})
}

// CountUsers implements account.Store.
func (a *Accounts) CountUsers(ctx context.Context) (n int, err error) {
	err = a.db.readers.QueryRowContext(ctx, "SELECT count(*) FROM users").Scan(&n)
	return n, err
}
