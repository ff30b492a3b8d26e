package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/terminal"
)

// userPasswordVariable holds the password for user add and user passwd.
const userPasswordVariable = "JETSTREAM_USER_PASSWORD"

// userCmd is jetstream user.
type userCmd struct {
	PersistentStateDir string `name:"persistent-state-dir" type:"path" placeholder:"DIR" from:"JETSTREAM_SERVER_PERSISTENT_STATE_DIR" help:"State directory of the server (${default_state_dir})."`

	Add    userAddCmd    `cmd:"" help:"Make a user."`
	List   userListCmd   `cmd:"" help:"List the users."`
	Passwd userPasswdCmd `cmd:"" help:"Give a user a new password."`
	Remove userRemoveCmd `cmd:"" help:"Remove a user, whose transfers end; the files stay."`
}

// passwordFlags select the source of a new password.
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
	NoDelete  bool   `name:"no-delete" help:"Mirrors of others may not remove files in the sandbox."`
	passwordFlags
}

// Run makes the user.
func (c *userAddCmd) Run(ctx context.Context, p *program, parent *cli) error {
	if err := account.CheckName(c.Name); err != nil { // before a password is asked for
		return err
	}
	password, err := c.password(ctx, p, c.Name) // before open creates the state directory
	if err != nil {
		return err
	}
	return parent.User.open(ctx, p, true, func(users users) error {
		mayDelete := !c.NoDelete
		user, err := users.Create(ctx, account.NewUser{
			Name: c.Name, Password: password, Superuser: c.Superuser, Sandbox: c.Sandbox, MayDelete: &mayDelete,
		})
		if err != nil {
			return err
		}
		_, err = terminal.Fprintf(p.Stdout, "user %s was made%s\n", user.Name, sandboxNote(user.Sandbox))
		return err
	})
}

// sandboxNote says what is at the sandbox of a new user, worded to follow what
// was done; "" for the server's default.
func sandboxNote(dir string) string {
	if dir == "" {
		return ""
	}
	note := ", with the sandbox " + dir
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		note += ", which does not exist: make the directory before the user needs it, the server does not"
	}
	return note
}

type userListCmd struct{ outputFlags }

// Run lists the users, newest first.
func (c *userListCmd) Run(ctx context.Context, p *program, parent *cli) error {
	return parent.User.open(ctx, p, false, func(users users) error {
		list := []account.User{}
		if err := users.Each(ctx, func(u account.User) { list = append(list, u) }); err != nil {
			return err
		}
		if c.asJSON() {
			b, err := api.Marshal(map[string]any{"users": list})
			if err != nil {
				return err
			}
			return p.printJSON(b)
		}
		rows := terminal.Table{Wide: c.Wide}
		rows.Row("NAME", "ROLE", "STATE", "SANDBOX")
		for _, u := range list {
			role, state := "user", "active"
			if u.Superuser {
				role = "superuser"
			}
			if u.Disabled {
				state = "disabled"
			}
			rows.Row(u.Name, role, state, cmp.Or(u.Sandbox, "(the server's default)"))
		}
		return p.print(&rows)
	})
}

type userPasswdCmd struct {
	Name string `arg:"" complete:"users" help:"Name of the user."`
	passwordFlags
}

// Run changes the password; logins with the former one end at once.
func (c *userPasswdCmd) Run(ctx context.Context, p *program, parent *cli) error {
	var user account.User
	err := parent.User.open(ctx, p, false, func(users users) (err error) { // fails before the password prompt
		user, err = users.User(ctx, c.Name)
		return err
	})
	if err != nil {
		return err
	}
	password, err := c.password(ctx, p, user.Name)
	if err != nil {
		return err
	}
	return parent.User.open(ctx, p, false, func(users users) error {
		if err := users.SetPassword(ctx, user.Name, password); err != nil {
			return err
		}
		_, err := terminal.Fprintf(p.Stdout, "user %s has a new password\n", user.Name)
		return err
	})
}

type userRemoveCmd struct {
	Name string `arg:"" complete:"users" help:"Name of the user."`
	Yes  bool   `help:"Do not ask on a terminal."`
}

// Run removes the user, after a question where there is a terminal.
func (c *userRemoveCmd) Run(ctx context.Context, p *program, parent *cli) error {
	var user account.User
	err := parent.User.open(ctx, p, false, func(users users) (err error) {
		user, err = users.User(ctx, c.Name) // as it is written
		return err
	})
	if err != nil {
		return err
	}
	if _, ok := p.terminal(); ok {
		warning := "User " + user.Name + " will be removed: transfers and logins end, the files stay."
		if err := p.confirm(ctx, c.Yes, warning); err != nil {
			return err
		}
	}
	return parent.User.open(ctx, p, false, func(users users) error {
		if err := users.Delete(ctx, user.Name); err != nil {
			return err
		}
		_, err := terminal.Fprintf(p.Stdout, "user %s was removed; the files stay\n", user.Name)
		return err
	})
}
