package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/audit"
	"jetstream/internal/store"
	"jetstream/internal/stream"
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
	events, err := stream.New(ctx, stream.Options{Store: db.Entries()})
	if err != nil {
		return err
	}
	log, err := audit.Open(audit.Options{Stream: events, Log: slog.Default()})
	if err != nil {
		return err
	}
	return fn(account.New(auditedUsers{db.Accounts(), log}, account.Options{
		Protected: []account.Protected{{What: "state directory", Path: stateDir, Secret: true}},
	}))
}

// auditedUsers records changes of users where no server does.
type auditedUsers struct {
	account.Store
	log *audit.Log
}

// InsertUser implements account.Store.
func (s auditedUsers) InsertUser(ctx context.Context, u account.User) error {
	err := s.Store.InsertUser(ctx, u)
	return s.record(err, "createUser", "name", u.Name, "superuser", strconv.FormatBool(u.Superuser), "sandbox", u.Sandbox)
}

// UpdateUser implements account.Store.
func (s auditedUsers) UpdateUser(ctx context.Context, name string, change func(*account.User) error) (account.User, error) {
	u, err := s.Store.UpdateUser(ctx, name, change)
	return u, s.record(err, "updateUser", "name", u.Name)
}

// DeleteUser implements account.Store.
func (s auditedUsers) DeleteUser(ctx context.Context, name string) error {
	return s.record(s.Store.DeleteUser(ctx, name), "deleteUser", "name", name)
}

// record records a change by the user of this process, unless it failed.
func (s auditedUsers) record(err error, command string, parameters ...string) error {
	if err == nil {
		s.log.Write("", audit.Record{Action: command, Status: api.CodeSuccess, Address: "uid " + strconv.Itoa(os.Getuid()), Parameters: audit.Texts(parameters...)})
	}
	return err
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
