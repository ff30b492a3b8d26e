package account

import (
	"context"
	"errors"

	"jetstream/internal/api"
)

// Login tells who a name and a password are. remote is the address that the
// call came from, with or without port; it is used to slow down whoever keeps
// guessing. Codes: unauthorized, with the same message (and after the same
// work) for an unknown user as for a wrong password; tooManyRequests with
// RetryAfter after many wrong ones by that address or for that user, which
// never hits a password that has been right in the last minutes.
func (s *Service) Login(ctx context.Context, name, password, remote string) (User, error) {
	u, _, err := s.candidate(ctx, name)
	if err != nil {
		return User{}, err
	}
	if s.proofs.holds(u, password, s.now()) {
		return admit(u)
	}
	if len(password) > maxPasswordBytes { // nobody has one; do not hash what a stranger made huge
		password = ""
	}
	// Ask before queueing for a slot: one who must wait shall not take a place.
	if err := s.failures.check(name, remote, s.now()); err != nil {
		return User{}, err
	}
	if err := s.hasher.enter(ctx); err != nil {
		return User{}, err
	}
	defer s.hasher.leave()
	// The account may have changed while this call waited; and of many calls
	// with the same right password the first has proved it for all.
	u, stored, err := s.candidate(ctx, name)
	if err != nil {
		return User{}, err
	}
	if s.proofs.holds(u, password, s.now()) {
		return admit(u)
	}
	// Counted before the work and taken back if it was right, so that guesses
	// made at the same time cannot pass the count together.
	if err := s.failures.take(name, remote, s.now()); err != nil {
		return User{}, err
	}
	right, err := s.hasher.verify(stored, password)
	if err != nil {
		s.failures.giveBack(name, remote)
		return User{}, api.Wrap(err, api.CodeInternal, "the password of user %s cannot be checked; set a new one with: jetstream user passwd", u.Name)
	}
	if !right || u.Hash == "" || password == "" {
		return User{}, errWrongCredentials()
	}
	s.failures.giveBack(name, remote)
	s.proofs.keep(u, password, s.now())
	return admit(u)
}

// candidate finds the user and the hash to hold the password against; for
// nobody that is a hash that nothing fits.
func (s *Service) candidate(ctx context.Context, name string) (User, string, error) {
	u, err := s.User(ctx, name)
	if errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		return User{}, s.stranger, nil
	}
	if err != nil {
		return User{}, "", err
	}
	return u, u.Hash, nil
}

// admit lets a user in who has proved to be one, unless disabled. Only one who
// knows the password learns that.
func admit(u User) (User, error) {
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
