package account

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"

	"jetstream/internal/api"
)

// Login returns the user of a name and password. remote is the address of the
// client, with or without port. Codes: unauthorized, with the same message and
// after the same work for an unknown user as for a wrong password;
// tooManyRequests, with RetryAfter, after many failures from that address or of
// that user, but not for a password that was verified in the last minutes.
func (s *Service) Login(ctx context.Context, name, password, remote string) (User, error) {
	u, _, err := s.candidate(ctx, name)
	if err != nil {
		return User{}, err
	}
	if s.proofs.has(u, password, s.now()) {
		return enabled(u)
	}
	if len(password) > maxPasswordBytes { // no user has one; do not hash megabytes
		password = ""
	}
	// Before waiting for a slot, which attempts over the limit must not occupy.
	if err := s.failures.check(name, remote, s.now()); err != nil {
		return User{}, err
	}
	if err := s.hasher.acquire(ctx); err != nil {
		return User{}, err
	}
	defer s.hasher.release()
	// The account may have changed during the wait, and another call may have
	// verified the same password.
	u, stored, err := s.candidate(ctx, name)
	if err != nil {
		return User{}, err
	}
	if s.proofs.has(u, password, s.now()) {
		return enabled(u)
	}
	// Counted before the hash and undone after success, so that concurrent
	// attempts cannot exceed the limit.
	if err := s.failures.charge(name, remote, s.now()); err != nil {
		return User{}, err
	}
	right, err := s.hasher.verify(stored, password)
	if err != nil {
		s.failures.refund(name, remote)
		return User{}, api.Wrap(err, api.CodeInternal, "the password of user %s cannot be checked; set a new one with: jetstream user passwd", u.Name)
	}
	if !right || u.Hash == "" || password == "" {
		return User{}, errWrongCredentials()
	}
	s.failures.refund(name, remote)
	s.proofs.add(u, password, s.now())
	return enabled(u)
}

// Access is what the login of a sending server grants.
type Access struct {
	User User
	// TokenID is the id of the API token that it logged in with; empty: the password.
	TokenID string
	// Path is the directory of the user's sandbox, as a path of the API, that files may
	// be written below.
	Path string
}

// LoginSender is Login for a sending server, whose secret is the password of the user or
// an API token of theirs that may write. Codes: as Login, and forbidden for a token that
// may not write.
func (s *Service) LoginSender(ctx context.Context, name, secret, remote string) (Access, error) {
	if strings.HasPrefix(secret, api.TokenPrefix) {
		g, err := s.byAPIToken(ctx, sha256.Sum256([]byte(secret)), name)
		if err == nil {
			return s.accessOf(ctx, g)
		}
		if !errors.Is(err, errNoToken) {
			return Access{}, err
		}
		// It may be a password that begins so. If not, the answer is that to any wrong one.
	}
	u, err := s.Login(ctx, name, secret, remote)
	return Access{User: u, Path: "/"}, err
}

// accessOf returns what a token grants a sending server.
func (s *Service) accessOf(ctx context.Context, g Grant) (Access, error) {
	if !g.Scope.Has(api.PermissionWrite) {
		return Access{}, api.Errorf(api.CodeForbidden, "sending needs the permission %q, which this token has not; make a token that has it", api.PermissionWrite)
	}
	u, err := s.User(ctx, g.User)
	return Access{User: u, TokenID: g.Scope.TokenID, Path: g.Scope.Path}, err
}

// TokenLasts returns an error if an API token was deleted or has expired. Codes:
// unauthorized.
func (s *Service) TokenLasts(ctx context.Context, tokenID string) error {
	t, err := s.store.Token(ctx, tokenID)
	switch {
	case errors.Is(err, &api.Error{Code: api.CodeNotFound}):
		return api.Wrap(err, api.CodeUnauthorized, "the token that authorized it was deleted")
	case err != nil:
		return err
	case s.expired(t):
		return api.Errorf(api.CodeUnauthorized, "the token that authorized it has expired")
	}
	return nil
}

// candidate returns the user and the hash to verify the password with. For an
// unknown user that is a hash that no password matches.
func (s *Service) candidate(ctx context.Context, name string) (User, string, error) {
	u, err := s.User(ctx, name)
	if errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		return User{}, s.dummyHash, nil
	}
	if err != nil {
		return User{}, "", err
	}
	return u, u.Hash, nil
}

// enabled returns a user whose password was verified, unless disabled. Others
// do not learn that the user is disabled.
func enabled(u User) (User, error) {
	if u.Disabled {
		return User{}, errDisabled(u.Name)
	}
	return u, nil
}

// WrongCredentials is the message of a login with an unknown user or a wrong password.
const WrongCredentials = "the user name or the password is wrong"

func errWrongCredentials() error {
	return api.Errorf(api.CodeUnauthorized, WrongCredentials)
}

func errDisabled(name string) error {
	return api.Errorf(api.CodeUnauthorized, "user %s is disabled; a superuser can enable the account again", name)
}
