package server

import (
	"context"
	"errors"

	"jetstream/internal/account"
	"jetstream/internal/store"
)

// WithAccounts calls fn with the account service of a state directory on which no
// server runs. It creates the directory if missing. If another process holds the
// directory, the error is store.ErrLocked.
func WithAccounts(ctx context.Context, stateDir string, fn func(*account.Service) error) (err error) {
	if err := store.PrepareDir(stateDir); err != nil {
		return err
	}
	db, err := store.Open(ctx, stateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return fn(account.New(db.Accounts(), account.Options{
		Protected: []account.Protected{{What: "state directory", Path: stateDir, Secret: true}},
	}))
}
