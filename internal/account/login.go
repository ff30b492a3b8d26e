package account

import (
	"context"
	"errors"

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

func errWrongCredentials() error {
	return api.Errorf(api.CodeUnauthorized, "the user name or the password is wrong")
}

func errDisabled(name string) error {
	return api.Errorf(api.CodeUnauthorized, "user %s is disabled; a superuser can enable the account again", name)
}
