package main

import (
	"context"
	"strconv"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/client"
)

// The variables of login that are no flags: secrets never are.
const (
	tokenVariable    = "JETSTREAM_API_TOKEN"
	passwordVariable = "JETSTREAM_API_PASSWORD"
	depthVariable    = "JETSTREAM_DEPTH"
)

// loginFlags say which server to call and as whom; every command that calls
// one embeds them.
type loginFlags struct {
	Host string `default:"localhost" from:"JETSTREAM_API_HOST" placeholder:"HOST" help:"Host of the server's control API (${default})."`
	Port int    `name:"api-control-port" default:"8886" from:"JETSTREAM_API_PORT" placeholder:"PORT" help:"Port of the server's control API (${default})."`
	User string `from:"JETSTREAM_API_USER" placeholder:"USER" help:"Log in as this user; the password comes from JETSTREAM_API_PASSWORD or is asked for. Not needed with a token in JETSTREAM_API_TOKEN or after jetstream login; with a launch script's token: the user to act as."`
	TLS  bool   `name:"tls" help:"Speak TLS with the server."`
	CA   string `name:"ca" from:"JETSTREAM_API_CA" placeholder:"FILE" help:"PEM file of the certificates to trust instead of the system's; implies --tls."`
}

// connect makes the client that l and the environment describe, and tells the
// user that it acts as ("" without login, or when only the server knows). It
// asks for the password when one is needed and a person is there.
func (l *loginFlags) connect(ctx context.Context, p *program) (c *client.Client, user string, err error) {
	o, err := l.options(p)
	if err != nil {
		return nil, "", err
	}
	if user, err = l.credentials(ctx, p, &o); err != nil {
		return nil, "", err
	}
	if c, err = client.New(o); err != nil {
		return nil, "", usagef("%s", api.ErrorOf(err).Message)
	}
	return c, user, nil
}

// options say which server, without a login.
func (l *loginFlags) options(p *program) (o client.Options, err error) {
	o = client.Options{Host: l.Host, Port: l.Port, TLS: l.TLS, CAFile: l.CA}
	if o.Port < 1 || o.Port > 65535 {
		return o, usagef("--api-control-port: %d is no port: ports are 1 to 65535", o.Port)
	}
	if depth := p.Getenv(depthVariable); depth != "" {
		n, err := strconv.Atoi(depth)
		if err != nil || n < 0 {
			return o, usagef("%s is %q; it must be the number that the trigger script was given", depthVariable, depth)
		}
		o.Depth = n
	}
	return o, nil
}

// logIn makes o use the login that was kept.
func (k keptLogin) logIn(o *client.Options) {
	o.Token, o.Kept, o.TLS = k.Token, true, o.TLS || k.TLS
	if o.CAFile == "" {
		o.CAFile = k.CA
	}
}

// credentials decides between token and password, and tells as whom. A token
// goes first, unless the user named is another than the token's. Where nothing
// is given, or a user without a password, a login that was kept is used.
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
		k, ok, err := p.kept(l)
		if err != nil {
			return "", err
		}
		if ok && (l.User == "" || strings.EqualFold(l.User, k.User)) {
			k.logIn(o)
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
