package server

import (
	"context"
	"errors"

	"jetstream/internal/account"
	"jetstream/internal/store"
)

// WithAccounts calls fn with the accounts of a state directory on which no
// server runs. It makes the directory where it is missing, and holds its lock
// meanwhile.
func WithAccounts(ctx context.Context, stateDir string, fn func(*account.Service) error) (err error) {
	if err := store.PrepareDir(stateDir); err != nil {
		return err
	}
	unlock, err := store.Lock(stateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	db, err := store.Open(ctx, stateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return fn(account.New(db.Accounts(), account.Options{
		Protected: []account.Protected{{What: "state directory", Path: stateDir, Secret: true}},
	}))
}
