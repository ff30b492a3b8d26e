package store

import (
	"context"
	"database/sql"
	"errors"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

const userColumns = "name, superuser, sandbox, disabled, may_delete, hash, create_time"

// Accounts is the database as accounts see it: it implements account.Store.
type Accounts struct{ db *DB }

// Accounts returns the view of the users.
func (db *DB) Accounts() *Accounts { return &Accounts{db} }

var _ account.Store = (*Accounts)(nil)

// scanUser reads userColumns; without a row it fails with code notFound.
func scanUser(row scanner, name string) (account.User, error) {
	var u account.User
	err := row.Scan(&u.Name, &u.Superuser, &u.Sandbox, &u.Disabled, &u.MayDelete, &u.Hash, &u.CreateTime)
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
		n, err := t.execCount("INSERT INTO users ("+userColumns+") VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
			u.Name, u.Superuser, u.Sandbox, u.Disabled, u.MayDelete, u.Hash, u.CreateTime)
		switch {
		case err != nil:
			return err
		case n == 1:
			return t.disown(u.Name)
		}
		return api.Errorf(api.CodeConflict, "there is a user %q already, and upper and lower case are the same in names; choose another name", u.Name)
	})
}

// User implements account.Store.
func (a *Accounts) User(ctx context.Context, name string) (account.User, error) {
	return cached(a.db.accounts, a.db.accounts.users, name, func() (account.User, error) {
		return scanUser(a.db.readers.queryRow(ctx, "SELECT "+userColumns+" FROM users WHERE name = ?", name), name)
	})
}

// Users implements account.Store.
func (a *Accounts) Users(ctx context.Context, after string, limit int) ([]account.User, error) {
	before := int64(1) << 62
	if after != "" {
		err := a.db.readers.queryRow(ctx, "SELECT seq FROM users WHERE name = ?", after).Scan(&before)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, noUser(after)
		}
		if err != nil {
			return nil, err
		}
	}
	rows, err := a.db.readers.query(ctx,
		"SELECT "+userColumns+" FROM users WHERE seq < ? ORDER BY seq DESC LIMIT ?", before, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(row scanner) (account.User, error) { return scanUser(row, "") })
}

// UpdateUser implements account.Store. The name and the time of creation stay
// whatever change does to them.
func (a *Accounts) UpdateUser(ctx context.Context, name string, change func(*account.User) error) (account.User, error) {
	var u account.User
	err := a.db.updateAccounts(ctx, func(t *tx) error {
		have, err := scanUser(t.queryRow("SELECT "+userColumns+" FROM users WHERE name = ?", name), name)
		if err != nil {
			return err
		}
		u = have
		if err := change(&u); err != nil {
			return err
		}
		u.Name, u.CreateTime = have.Name, have.CreateTime
		return t.keepSuperuser(u.Name, func() error {
			_, err := t.exec("UPDATE users SET superuser = ?, sandbox = ?, disabled = ?, may_delete = ?, hash = ? WHERE name = ?",
				u.Superuser, u.Sandbox, u.Disabled, u.MayDelete, u.Hash, u.Name)
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
			n, err := t.execCount("DELETE FROM users WHERE name = ?", name) // their tokens go with them
			if err != nil {
				return err
			}
			if n == 0 {
				return noUser(name)
			}
			// A later user of that name shall not get the answers of this one.
			_, err = t.exec("DELETE FROM replays WHERE owner = ?", name)
			return err
		})
	})
}

// CountUsers implements account.Store.
func (a *Accounts) CountUsers(ctx context.Context) (n int, err error) {
	err = a.db.readers.queryRow(ctx, "SELECT count(*) FROM users").Scan(&n)
	return n, err
}
