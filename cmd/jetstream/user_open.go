package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/client"
	"jetstream/internal/server"
	"jetstream/internal/store"
	"jetstream/internal/terminal"
)

// users are the users of a server.
type users interface {
	User(ctx context.Context, name string) (account.User, error)
	Create(ctx context.Context, n account.NewUser) (account.User, error)
	SetPassword(ctx context.Context, name, password string) error
	Delete(ctx context.Context, name string) error
	// Each calls fn with each user, newest first.
	Each(ctx context.Context, fn func(account.User)) error
}

const (
	// lockWait bounds the wait for another program that has locked the state
	// directory; the lock is tried every lockPoll.
	lockWait = 10 * time.Second
	lockPoll = 50 * time.Millisecond
)

func (c *userCmd) open(ctx context.Context, p *program, create bool, fn func(users) error) error {
	return p.openUsers(ctx, c.PersistentStateDir, create, lockWait, fn)
}

// errNoState is the error for a directory that is no server's state directory.
var errNoState = errors.New("is no state directory of a server (it holds no " + store.File + "): name it with --persistent-state-dir")

// openUsers calls fn with the users of the running server, through its control
// socket, or of the state directory dir if no server runs. An empty dir is this
// user's default. It waits for another program that has locked the directory. A
// missing directory is created only with create: otherwise it is likely a typing
// error.
func (p *program) openUsers(ctx context.Context, dir string, create bool, patience time.Duration, fn func(users) error) error {
	given := dir
	if dir == "" {
		var err error
		if dir, err = stateDir(p.Getenv); err != nil {
			return err
		}
	}
	for begin := time.Now(); ; wait(ctx, lockPoll) {
		if socket := p.findSocket(ctx, given); socket != "" {
			return bySocket(p, socket, fn)
		}
		if _, err := os.Stat(filepath.Join(dir, store.File)); errors.Is(err, fs.ErrNotExist) && !create {
			return fmt.Errorf("%s %w", dir, errNoState)
		}
		err := server.WithAccounts(ctx, dir, p.upgraded, func(accounts *account.Service) error { return fn(localUsers{accounts}) })
		if !errors.Is(err, store.ErrLocked) || ctx.Err() != nil {
			return err
		}
		if time.Since(begin) < patience {
			continue // a server may be starting or stopping
		}
		if _, e := os.Stat(filepath.Join(dir, server.EndpointFile)); e == nil {
			return fmt.Errorf("a server runs on %s, or is stopping, and has no control socket: stop it, or log in to it as a superuser: "+
				"jetstream api --user NAME createUser (or getUsers, updateUser, deleteUser)", dir)
		}
		return err
	}
}

// upgraded says that the database was upgraded.
func (p *program) upgraded(u store.Upgrade) {
	_, _ = terminal.Fprintf(p.Stderr, "jetstream: the database was upgraded; a copy of it as it was is %s\n", u.Copy)
}

func bySocket(p *program, socket string, fn func(users) error) error {
	depth, err := p.depth()
	if err != nil {
		return err
	}
	conn, err := client.New(client.Options{Socket: socket, Depth: depth})
	if err != nil {
		return err
	}
	defer conn.Close()
	return fn(remoteUsers{conn})
}

const usersPerPage = 500

// localUsers are those of a state directory on which no server runs.
type localUsers struct{ *account.Service }

// Each implements users.
func (l localUsers) Each(ctx context.Context, fn func(account.User)) error {
	for after := ""; ; {
		page, err := l.Users(ctx, after, usersPerPage)
		if err != nil {
			return err
		}
		for _, u := range page {
			fn(u)
			after = u.Name
		}
		if len(page) < usersPerPage {
			return nil
		}
	}
}

// remoteUsers are those of a running server.
type remoteUsers struct{ conn *client.Client }

// User implements users.
func (r remoteUsers) User(ctx context.Context, name string) (account.User, error) {
	return client.As[account.User](r.conn.Call(ctx, "getUser", map[string]any{"name": name}))
}

// Create implements users.
func (r remoteUsers) Create(ctx context.Context, n account.NewUser) (account.User, error) {
	if err := n.Check(); err != nil { // in the words of the directory's own users
		return account.User{}, err
	}
	params := map[string]any{"name": n.Name, "password": n.Password, "superuser": n.Superuser}
	if n.MayDelete != nil {
		params["mayDelete"] = *n.MayDelete
	}
	if n.Sandbox != "" {
		params["sandbox"] = n.Sandbox
	}
	return client.As[account.User](r.conn.Call(ctx, "createUser", params))
}

// SetPassword implements users.
func (r remoteUsers) SetPassword(ctx context.Context, name, password string) error {
	if err := account.CheckPassword(password); err != nil {
		return err
	}
	_, err := r.conn.Call(ctx, "updateUser", map[string]any{"name": name, "password": password})
	return err
}

// Delete implements users.
func (r remoteUsers) Delete(ctx context.Context, name string) error {
	_, err := r.conn.Call(ctx, "deleteUser", map[string]any{"name": name, "force": true})
	return err
}

// Each implements users.
func (r remoteUsers) Each(ctx context.Context, fn func(account.User)) error {
	params := map[string]any{"limit": usersPerPage}
	for {
		page, err := client.As[struct {
			Users      []account.User `json:"users"`
			NextCursor *string        `json:"nextCursor"`
		}](r.conn.Call(ctx, "getUsers", params))
		if err != nil {
			return err
		}
		for _, u := range page.Users {
			fn(u)
		}
		if page.NextCursor == nil {
			return nil
		}
		params["cursor"] = *page.NextCursor
	}
}

// wait waits for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
