package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"jetstream/internal/account"
	"jetstream/internal/store"
	"jetstream/internal/transfer/wire"
)

// WithAccounts calls fn with the account service of a state directory on which no
// server runs. It creates the directory if missing. If another process holds the
// directory, the error is store.ErrLocked. upgraded, if not nil, is called before if the
// database was upgraded.
func WithAccounts(ctx context.Context, stateDir string, upgraded func(store.Upgrade), fn func(*account.Service) error) (err error) {
	if err := store.PrepareDir(stateDir); err != nil {
		return err
	}
	db, err := openStore(ctx, stateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if u := db.Upgraded(); u != nil && upgraded != nil {
		upgraded(*u)
	}
	return fn(account.New(db.Accounts(), account.Options{
		Protected: []account.Protected{{What: "state directory", Path: stateDir, Secret: true}},
	}))
}

// openStore opens the database, but refuses one of 0 bytes where the key says
// that a server was here: taken for new it would have no users and no transfers.
func openStore(ctx context.Context, stateDir string) (*store.DB, error) {
	path := filepath.Join(stateDir, store.File)
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		if _, err := os.Stat(filepath.Join(stateDir, wire.IdentityFile)); err == nil {
			return nil, fmt.Errorf("the database %s is empty, though this server has run before (%s is there): "+
				"put back a copy of it, or remove it to begin without users, transfers and waiting events", path, wire.IdentityFile)
		}
	}
	return store.Open(ctx, stateDir)
}
