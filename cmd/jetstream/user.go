package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"jetstream/cmd/jetstream/terminal"
	"jetstream/internal/account"
	"jetstream/internal/store"
)

// userPasswordVariable holds the password for user add and user passwd.
const userPasswordVariable = "JETSTREAM_USER_PASSWORD"

// userCmd is jetstream user: it works on the state directory itself, with or
// without a server running on it. A running server sees the change at once.
type userCmd struct {
	PersistentStateDir string `name:"persistent-state-dir" type:"path" placeholder:"DIR" from:"JETSTREAM_SERVER_PERSISTENT_STATE_DIR" help:"State directory of the server (${default_state_dir})."`

	Add    userAddCmd    `cmd:"" help:"Make a user."`
	List   userListCmd   `cmd:"" help:"List the users."`
	Passwd userPasswdCmd `cmd:"" help:"Give a user a new password."`
	Remove userRemoveCmd `cmd:"" help:"Remove a user; the user's files stay."`
}

// accounts opens the state directory for the length of fn. Only create lets a
// directory that is not there be made: elsewhere it is a typing error.
func (c *userCmd) accounts(ctx context.Context, p *program, create bool, fn func(*account.Service) error) (err error) {
	dir := c.PersistentStateDir
	if dir == "" {
		if dir, err = defaultStateDir(p.Getenv); err != nil {
			return err
		}
	}
	if !create {
		if _, err := os.Stat(filepath.Join(dir, store.File)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is no state directory of a server (it holds no %s): name it with --persistent-state-dir", dir, store.File)
		}
	}
	if err := store.PrepareDir(dir); err != nil {
		return err
	}
	db, err := store.Open(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return fn(account.New(db.Accounts(), account.Options{
		Protected: []account.Protected{{What: "state directory", Path: dir, Secret: true}},
	}))
}

// passwordFlags say where a new password comes from.
type passwordFlags struct {
	PasswordStdin bool `name:"password-stdin" help:"Read the password from standard input; else it comes from JETSTREAM_USER_PASSWORD or is asked for."`
}

func (f passwordFlags) password(ctx context.Context, p *program, name string) (string, error) {
	if f.PasswordStdin {
		return p.secretFromStdin("--password-stdin")
	}
	if password := p.Getenv(userPasswordVariable); password != "" {
		return password, nil
	}
	if _, ok := p.terminal(); !ok {
		return "", usagef("the new password of %s is missing and there is no terminal to ask on: set %s, or give --password-stdin",
			name, userPasswordVariable)
	}
	return p.askTwice(ctx, "New password of "+name)
}

type userAddCmd struct {
	Name      string `arg:"" help:"Name of the user: letters, digits and ._@-, unique without regard to case."`
	Superuser bool   `help:"May see and change everything."`
	Sandbox   string `type:"path" placeholder:"DIR" help:"Directory that / means in this user's paths; without it the server's --sandbox-dir."`
	passwordFlags
}

// Run makes the user.
func (c *userAddCmd) Run(ctx context.Context, p *program, parent *cli) error {
	password, err := c.password(ctx, p, c.Name) // before a directory is made for it
	if err != nil {
		return err
	}
	return parent.User.accounts(ctx, p, true, func(accounts *account.Service) error {
		user, err := accounts.Create(ctx, account.NewUser{
			Name: c.Name, Password: password, Superuser: c.Superuser, Sandbox: c.Sandbox,
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.Stdout, "user %s was made\n", user.Name)
		return err
	})
}

type userListCmd struct{}

// usersPerPage is how many users are read at a time.
const usersPerPage = 500

// Run lists the users, newest first.
func (c *userListCmd) Run(ctx context.Context, p *program, parent *cli) error {
	return parent.User.accounts(ctx, p, false, func(accounts *account.Service) error {
		table := tabwriter.NewWriter(p.Stdout, 0, 8, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "NAME\tROLE\tSTATE\tSANDBOX") // Flush tells of errors
		for after := ""; ; {
			users, err := accounts.Users(ctx, after, usersPerPage)
			if err != nil {
				return err
			}
			for _, u := range users {
				role, state, sandbox := "user", "active", "(the server's default)"
				if u.Superuser {
					role = "superuser"
				}
				if u.Disabled {
					state = "disabled"
				}
				if u.Sandbox != "" {
					sandbox = terminal.Printable(u.Sandbox)
				}
				_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", u.Name, role, state, sandbox)
				after = u.Name
			}
			if len(users) < usersPerPage {
				return table.Flush()
			}
		}
	})
}

type userPasswdCmd struct {
	Name string `arg:"" help:"Name of the user."`
	passwordFlags
}

// Run changes the password; logins with the former one end at once.
func (c *userPasswdCmd) Run(ctx context.Context, p *program, parent *cli) error {
	return parent.User.accounts(ctx, p, false, func(accounts *account.Service) error {
		user, err := accounts.User(ctx, c.Name) // before anybody is asked for a password
		if err != nil {
			return err
		}
		password, err := c.password(ctx, p, user.Name)
		if err != nil {
			return err
		}
		if err := accounts.SetPassword(ctx, user.Name, password); err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.Stdout, "user %s has a new password\n", user.Name)
		return err
	})
}

type userRemoveCmd struct {
	Name string `arg:"" help:"Name of the user."`
}

// Run removes the user.
func (c *userRemoveCmd) Run(ctx context.Context, p *program, parent *cli) error {
	return parent.User.accounts(ctx, p, false, func(accounts *account.Service) error {
		user, err := accounts.User(ctx, c.Name) // as it is written
		if err != nil {
			return err
		}
		if err := accounts.Delete(ctx, user.Name); err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.Stdout, "user %s was removed; the files stay\n", user.Name)
		return err
	})
}
