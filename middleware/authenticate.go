package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"

	"jetstream/internal/api"
)

// SessionCookieOf is the name of the page's cookie where r was sent to. Cookies
// know hosts and no ports: without the port in their names a browser would lose
// its session with one server by signing in at another on the same host, or at
// the other end of another tunnel.
func SessionCookieOf(r *http.Request) string {
	_, text, err := net.SplitHostPort(r.Host)
	if port, bad := strconv.ParseUint(text, 10, 16); err == nil && bad == nil && port != api.ControlPort {
		return fmt.Sprintf("%s_%d", api.SessionCookie, port)
	}
	return api.SessionCookie
}

// maxDepth bounds what api.DepthHeader may say; a chain never gets there.
const maxDepth = 1000

// Authenticator tells who the bearer of credentials is. Failures are
// unauthorized or tooManyRequests errors; remote is the client's IP.
type Authenticator interface {
	Password(ctx context.Context, name, password, remote string) (api.Caller, error)
	Token(ctx context.Context, token, actAs string) (api.Caller, error)
	Session(ctx context.Context, id string) (api.Caller, error)
	// ActAs tells who one is who may act as everybody: the user of that name, or
	// a superuser who is nobody where the name is empty.
	ActAs(ctx context.Context, name string) (api.Caller, error)
}

// Authenticate refuses requests without login, but those that exempt names:
// these pass without a caller when they carry no credentials. Wrong
// credentials are refused everywhere. A refusal ends the request: no command,
// no trigger.
func Authenticate(log *slog.Logger, auth Authenticator, exempt func(*http.Request) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller, err := authenticate(r, auth)
			switch {
			case errors.Is(err, errNoCredentials):
				if !exempt(r) {
					Fail(w, r, log, errNoCredentials)
					return
				}
				next.ServeHTTP(w, r)
				return
			case err != nil:
				Fail(w, r, log, err)
				return
			}
			caller.RequestID = RequestID(w)
			if depth := r.Header.Get(api.DepthHeader); depth != "" {
				if d, err := strconv.Atoi(depth); err == nil && d > caller.Depth {
					caller.Depth = min(d, maxDepth)
				}
			}
			ctx := withCall(api.WithCaller(r.Context(), caller), &Call{})
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

var errNoCredentials = api.Errorf(api.CodeUnauthorized,
	"log in: with user and password (HTTP Basic), with a token (Authorization: Bearer), or on the page at /")

func authenticate(r *http.Request, auth Authenticator) (api.Caller, error) {
	ctx := r.Context()
	headers := r.Header["Authorization"]
	if len(headers) > 1 {
		return api.Caller{}, api.Errorf(api.CodeUnauthorized, "there is more than one Authorization header, and who stands between may believe another; send one")
	}
	actAs := r.Header[http.CanonicalHeaderKey(api.UserHeader)]
	if len(actAs) > 1 {
		return api.Caller{}, api.Errorf(api.CodeUnauthorized, "there is more than one %s header; send one", api.UserHeader)
	}
	if len(headers) == 1 { // an empty one too: a login that was left out is no login by the socket
		scheme, token, _ := strings.Cut(headers[0], " ")
		token = strings.TrimSpace(token)
		switch {
		case strings.EqualFold(scheme, "Basic"):
			if name, password, ok := r.BasicAuth(); ok {
				noteLogin(ctx, api.LoginPassword, name)
				caller, err := auth.Password(ctx, name, password, RemoteIP(r))
				caller.Login = api.LoginPassword
				return caller, err
			}
			return api.Caller{}, api.Errorf(api.CodeUnauthorized, "the Authorization header cannot be read: after Basic comes the base64 of NAME:PASSWORD")
		case !strings.EqualFold(scheme, "Bearer"):
			return api.Caller{}, api.Errorf(api.CodeUnauthorized, "the Authorization header is neither Basic nor Bearer; leave it out to send none")
		case token == "":
			return api.Caller{}, api.Errorf(api.CodeUnauthorized, "the Authorization header cannot be read: no token follows Bearer")
		}
		noteLogin(ctx, api.LoginToken, "")
		caller, err := auth.Token(ctx, token, strings.Join(actAs, ""))
		if caller.Login = api.LoginRunToken; caller.Scope != nil {
			caller.Login = api.LoginToken
		}
		return caller, err
	}
	if peer, ok := peerOf(ctx); ok {
		noteLogin(ctx, api.LoginSocket, strings.Join(actAs, ""))
		caller, err := auth.ActAs(ctx, strings.Join(actAs, ""))
		caller.Peer, caller.Login = peer, api.LoginSocket
		return caller, err
	}
	if c, err := r.Cookie(SessionCookieOf(r)); err == nil {
		noteLogin(ctx, api.LoginSession, "")
		caller, err := auth.Session(ctx, c.Value)
		caller.Login = api.LoginSession
		if errors.Is(err, &api.Error{Code: api.CodeUnauthorized}) {
			return caller, errNoCredentials // an old cookie is no credential, and no attack either
		}
		return caller, err
	}
	return api.Caller{}, errNoCredentials
}

// Reauthenticate tells who the bearer of a request's credentials is now. It is
// for answers that go on for long; with a password it costs a proof, and a
// wrong one counts.
func Reauthenticate(r *http.Request, auth Authenticator) (api.Caller, error) {
	return authenticate(r, auth)
}

// RemoteIP is the client's address without the port, at the control socket its
// user. It is that of the connection, or what ClientAddress has found.
func RemoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
