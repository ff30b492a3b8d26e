package main

import (
	"cmp"
	"context"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/terminal"
)

// Variables of the login without a flag: secrets are never flags.
const (
	tokenVariable    = "JETSTREAM_API_TOKEN"
	passwordVariable = "JETSTREAM_API_PASSWORD"
	depthVariable    = "JETSTREAM_DEPTH"
)

// loginFlags select the server to call and the user to call it as.
type loginFlags struct {
	Host string `from:"JETSTREAM_API_HOST" placeholder:"HOST" help:"Host of the server's control API (localhost)."`
	Port *int   `name:"api-control-port" from:"JETSTREAM_API_PORT" placeholder:"PORT" help:"Port of the server's control API (8886)."`
	User string `from:"JETSTREAM_API_USER" placeholder:"USER" help:"Log in as this user; the password comes from JETSTREAM_API_PASSWORD or is asked for. Not needed with a token in JETSTREAM_API_TOKEN or after jetstream login; with a launch script's token, and on the server's own machine for root and the server's user: the user to act as, without a password."`
	TLS  bool   `name:"tls" help:"Speak TLS with the server."`
	CA   string `name:"ca" from:"JETSTREAM_API_CA" placeholder:"FILE" help:"PEM file of the certificates to trust instead of the system's; implies --tls."`
}

// server returns the host and port to call.
func (l *loginFlags) server() (host string, port int) {
	host, port = "localhost", api.ControlPort
	if l.Host != "" {
		host = l.Host
	}
	if l.Port != nil {
		port = *l.Port
	}
	return host, port
}

// callFlags are the flags of every command that calls a server: a login, or the
// state directory of a server on this machine, which needs none.
type callFlags struct {
	loginFlags
	PersistentStateDir string `name:"persistent-state-dir" type:"path" placeholder:"DIR" from:"JETSTREAM_SERVER_PERSISTENT_STATE_DIR" help:"State directory of a server on this machine, whose control socket is called when neither host, port, TLS, token, password nor a kept login is given; else those of this user and of the system are looked at."`
}

// connect creates the client that flags and environment describe and returns the
// user that it acts as ("" without login, or when only the server knows). It
// prompts for a missing password on a terminal.
func (l *callFlags) connect(ctx context.Context, p *program) (c *client.Client, user string, err error) {
	o, err := l.options(p)
	if err != nil {
		return nil, "", err
	}
	given, err := l.loginGiven(p)
	if err != nil {
		return nil, "", err
	}
	if !given {
		o.Socket = p.findSocket(ctx, l.PersistentStateDir)
	}
	if o.Socket == "" {
		l.noteUnused(p, given)
	}
	if o.Socket != "" {
		o.ActAs, user = l.User, l.User
	} else if user, err = l.credentials(ctx, p, &o); err != nil {
		return nil, "", err
	}
	if c, err = client.New(o); err != nil {
		return nil, "", usagef("%s", api.ErrorOf(err).Message)
	}
	return c, user, nil
}

// noteUnused says on standard error why the control socket in a state directory
// that was named by the flag is not called.
func (l *callFlags) noteUnused(p *program, loginGiven bool) {
	dir := l.PersistentStateDir
	if dir == "" || dir == p.Getenv(serverVariables+"PERSISTENT_STATE_DIR") {
		return
	}
	why := "no server of it answers"
	if loginGiven {
		why = "host, port, TLS, token, password or a kept login says which server to call"
		names := []string{tokenVariable, passwordVariable}
		for f := range reflect.TypeFor[loginFlags]().Fields() {
			if f.Name != "User" { // who calls, not whom
				names = append(names, f.Tag.Get("from"))
			}
		}
		for _, name := range names {
			if name != "" && p.Getenv(name) != "" {
				why = name + " is set"
				break
			}
		}
	} else if _, err := os.ReadDir(dir); err != nil {
		why = "it cannot be read: " + cmp.Or(api.SystemReason(err), err.Error())
	}
	host, port := l.server()
	_, _ = terminal.Fprintf(p.Stderr, "jetstream: not using the state directory %s: %s; calling %s\n", dir, why, net.JoinHostPort(host, strconv.Itoa(port)))
}

// loginGiven reports whether anything says which server to call or how to log in
// there: then the control socket is not used.
func (l *loginFlags) loginGiven(p *program) (bool, error) {
	if l.Host != "" || l.Port != nil || l.TLS || l.CA != "" || p.Getenv(tokenVariable) != "" || p.Getenv(passwordVariable) != "" {
		return true, nil
	}
	_, ok, err := l.keptFor(p)
	return ok, err
}

// keptFor returns the stored login for the server, if it is of the user named.
func (l *loginFlags) keptFor(p *program) (k client.Login, ok bool, err error) {
	logins, _ := p.logins() // without a home directory there are none
	host, port := l.server()
	k, ok, err = logins.Load(host, port)
	return k, ok && (l.User == "" || strings.EqualFold(l.User, k.User)), err
}

// options returns the client options of the server, without a login.
func (l *loginFlags) options(p *program) (o client.Options, err error) {
	o = client.Options{TLS: l.TLS, CAFile: l.CA}
	o.Host, o.Port = l.server()
	if o.Port < 1 || o.Port > 65535 {
		return o, usagef("--api-control-port: %d is no port: ports are 1 to 65535", o.Port)
	}
	o.Depth, err = p.depth()
	return o, err
}

// depth returns the number of trigger runs that led to this command.
func (p *program) depth() (int, error) {
	text := p.Getenv(depthVariable)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, usagef("%s is %q; it must be the number that the trigger script was given", depthVariable, text)
	}
	return n, nil
}

// credentials sets token or password in the options and returns the user. A token
// takes precedence unless it is of another user than the one named. If nothing is
// given, or a user without a password, the stored login is used.
func (l *loginFlags) credentials(ctx context.Context, p *program, o *client.Options) (user string, err error) {
	token, password := p.Getenv(tokenVariable), p.Getenv(passwordVariable)
	if token != "" {
		owner, known := api.TokenUser(token)
		switch {
		case l.User == "" || known && strings.EqualFold(owner, l.User):
			o.Token = token
			return owner, nil
		case !known || owner == "":
			// A launch script's token acts as whom it names. Of another form of
			// token only the server knows the user, and refuses a wrong name.
			o.Token, o.ActAs = token, l.User
			return l.User, nil
		case password == "":
			return "", usagef("%s belongs to %s, not to %s: leave out --user, or set %s to log in as %s",
				tokenVariable, owner, l.User, passwordVariable, l.User)
		}
	}
	if password == "" {
		k, ok, err := l.keptFor(p)
		if err != nil {
			return "", err
		}
		if ok {
			k.Use(o)
			return k.User, nil
		}
	}
	switch {
	case l.User == "" && password == "":
		return "", nil // without login
	case l.User == "":
		return "", usagef("%s is set, but no user: add --user NAME or set JETSTREAM_API_USER", passwordVariable)
	case password == "":
		if _, ok := p.terminal(); !ok {
			return "", usagef("the password of %s is missing and there is no terminal to ask on: set %s, or log in by %s",
				l.User, passwordVariable, tokenVariable)
		}
		if password, err = p.ask(ctx, "Password of "+l.User); err != nil {
			return "", err
		}
	}
	o.User, o.Password = l.User, password
	return l.User, nil
}
