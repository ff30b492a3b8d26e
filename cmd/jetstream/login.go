package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/terminal"
)

// loginCmd is jetstream login: creates and stores a token for later commands.
type loginCmd struct {
	loginFlags
	Days int `default:"90" help:"How long the login lasts; 0 is until jetstream logout."`
}

// mostDays is a century: enough for everybody, and far from any overflow.
const mostDays = 36500

// Run prompts for user and password, creates a token with them and stores it.
func (c *loginCmd) Run(ctx context.Context, p *program) error {
	if c.Days < 0 || c.Days > mostDays {
		return usagef("--days: %d is not between 0 and %d", c.Days, mostDays)
	}
	logins, err := p.logins() // fails before any prompt
	if err != nil {
		return err
	}
	if err := c.askUser(ctx, p); err != nil {
		return err
	}
	o, err := c.options(p)
	if err == nil && o.CAFile != "" { // stored, and later used from other working directories
		o.CAFile, err = filepath.Abs(o.CAFile)
	}
	if err != nil {
		return err
	}
	if o.Password = p.Getenv(passwordVariable); o.Password == "" {
		if _, terminal := p.terminal(); !terminal {
			return usagef("the password of %s is missing and there is no terminal to ask on: set %s", c.User, passwordVariable)
		}
		if o.Password, err = p.ask(ctx, "Password of "+c.User); err != nil {
			return err
		}
	}
	o.User = c.User
	conn, err := client.New(o)
	if err != nil {
		return usagef("%s", api.ErrorOf(err).Message)
	}
	defer conn.Close()
	k, err := c.makeToken(ctx, conn)
	if err != nil {
		return err
	}
	k.TLS, k.CA = o.TLS || o.CAFile != "", o.CAFile
	host, port := c.server()
	before, had, _ := logins.Load(host, port) // an unreadable login is overwritten
	if err := logins.Save(host, port, k); err != nil {
		_, undone := conn.Call(ctx, "deleteAPIToken", map[string]any{"tokenId": k.TokenID})
		return errors.Join(fmt.Errorf("the login cannot be kept: %w", err), undone)
	}
	if had {
		endLogin(ctx, before, o)
	}
	_, err = terminal.Fprintf(p.Stdout, "logged in at %s as %s; jetstream logout ends it\n", conn.Address(), k.User)
	return err
}

// endLogin deletes the token of a replaced login at the server of o, since no
// copy of it is left. That the token has already ended is no error.
func endLogin(ctx context.Context, k client.Login, o client.Options) {
	k.Use(&o)
	if conn, err := client.New(o); err == nil {
		_, _ = conn.Call(ctx, "deleteAPIToken", map[string]any{"tokenId": k.TokenID})
		conn.Close()
	}
}

func (c *loginCmd) askUser(ctx context.Context, p *program) (err error) {
	if c.User != "" {
		return nil
	}
	if _, terminal := p.terminal(); terminal {
		c.User, err = p.askLine(ctx, "User")
	}
	if err == nil && c.User == "" {
		return usagef("whose login is it? Give --user NAME or set JETSTREAM_API_USER")
	}
	return err
}

// makeToken creates a token with all permissions of the user.
func (c *loginCmd) makeToken(ctx context.Context, conn *client.Client) (client.Login, error) {
	type account struct {
		Name      string `json:"name"`
		Superuser bool   `json:"superuser"`
	}
	user, err := client.As[account](conn.Call(ctx, "getUser", map[string]any{"name": c.User}))
	if err != nil {
		return client.Login{}, err
	}
	permissions := []string{"read", "write"}
	if user.Superuser {
		permissions = append(permissions, "admin")
	}
	host, err := os.Hostname()
	if err != nil {
		host = "a machine without a name"
	}
	params := map[string]any{"description": "jetstream login on " + host, "permissions": permissions}
	if c.Days > 0 {
		params["expiryTime"] = int64(api.TimeOf(time.Now().AddDate(0, 0, c.Days)))
	}
	k, err := client.As[client.Login](conn.Call(ctx, "createAPIToken", params))
	if err == nil && k.Token == "" {
		err = api.Errorf(api.CodeInternal, "the server made a token and did not say it; is it another version than this program?")
	}
	k.User = user.Name
	return k, err
}

// logoutCmd is jetstream logout.
type logoutCmd struct {
	loginFlags
}

// Run deletes the token at the server and then removes the file. If the server
// cannot be reached the file stays, so that a valid token is not lost track of.
func (c *logoutCmd) Run(ctx context.Context, p *program) error {
	logins, err := p.logins()
	if err != nil {
		return err
	}
	host, port := c.server()
	path := logins.Path(host, port)
	k, ok, err := logins.Load(host, port)
	if err == nil && !ok {
		return fmt.Errorf("there is no login to end for port %d of %s", port, host)
	}
	if err != nil && os.Chmod(path, 0o600) == nil { // a token that others could read must be deleted too
		k, _, err = logins.Load(host, port)
	}
	if err != nil {
		return err
	}
	o, err := c.options(p)
	if err != nil {
		return err
	}
	k.Use(&o)
	conn, err := client.New(o)
	if err != nil {
		return usagef("%s", api.ErrorOf(err).Message)
	}
	defer conn.Close()
	_, err = conn.Call(ctx, "deleteAPIToken", map[string]any{"tokenId": k.TokenID})
	ended := errors.Is(err, &api.Error{Code: api.CodeUnauthorized}) || errors.Is(err, &api.Error{Code: api.CodeNotFound})
	if err != nil && !ended {
		return fmt.Errorf("the token is still good at the server: %w; to forget it nevertheless, remove %s", err, path)
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	_, err = terminal.Fprintf(p.Stdout, "logged out at %s\n", conn.Address())
	return err
}

// maxName bounds what is read as a user's name, in bytes.
const maxName = 256

// askLine prompts for a line with echo. Call it only where terminal
// says ok.
func (p *program) askLine(ctx context.Context, prompt string) (string, error) {
	_, _ = terminal.Fprintf(p.Stderr, "%s: ", prompt)
	lines := make(chan string, 1)
	// The read cannot be called off; after an interrupt the process ends and
	// takes it along. Byte by byte: what follows is for the next question.
	go func() {
		var line []byte
		for b := make([]byte, 1); len(line) < maxName; {
			if n, err := p.Stdin.Read(b); n == 0 || err != nil || b[0] == '\n' {
				break
			}
			line = append(line, b[0])
		}
		lines <- string(line)
	}()
	select {
	case line := <-lines:
		return strings.TrimSpace(line), nil
	case <-ctx.Done():
		_, _ = fmt.Fprintln(p.Stderr)
		return "", errors.New("interrupted")
	}
}
