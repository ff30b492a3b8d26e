package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
	"sync"

	"jetstream/internal/api"
)

// Grant is the identity and the rights that a token gives.
type Grant struct {
	// User is the account that the token acts as; empty for the token of a
	// launch script that acts as no user.
	User string
	// Superuser reports whether it has the rights of a superuser; true if User
	// is empty.
	Superuser bool
	// Sandbox is User.Sandbox of the account; empty if User is empty.
	Sandbox string
	// Since is when the account was made; 0 if User is empty.
	Since api.Time
	// Scope restricts the rights of an API token; nil for other tokens.
	Scope *api.Scope
	// Depth is the depth of the trigger run that has the token.
	Depth int
}

// runTokens are the tokens of the scripts that run now, by their SHA-256.
type runTokens struct {
	mu    sync.Mutex
	bySum map[[sha256.Size]byte]runToken
}

type runToken struct {
	user   string
	of     api.Time // when the user was made; a later user of the name may not use it
	launch bool
	depth  int
}

func newRunTokens() *runTokens { return &runTokens{bySum: map[[sha256.Size]byte]runToken{}} }

// IssueRunToken returns a token for one run of a trigger script, valid until
// RevokeRunToken. It acts as user or, for a launch script, as no user. depth is
// the depth of the run. For the format see api.TokenPrefix.
func (s *Service) IssueRunToken(user string, launch bool, depth int) string {
	if launch {
		user = ""
	}
	token := newTokenText(user)
	u, _ := s.User(context.Background(), user) // the token of an unknown user is refused later
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	s.tokens.bySum[sha256.Sum256([]byte(token))] = runToken{user, u.CreateTime, launch, depth}
	return token
}

// RevokeRunToken ends a token, if it exists.
func (s *Service) RevokeRunToken(token string) {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	delete(s.tokens.bySum, sha256.Sum256([]byte(token)))
}

// ByToken returns what a run token or an API token grants at this moment. actAs
// is the user that the token of a launch script shall act as; for any other
// token it must be empty or the user of the token. Codes: unauthorized.
func (s *Service) ByToken(ctx context.Context, token, actAs string) (Grant, error) {
	sum := sha256.Sum256([]byte(token))
	t, ok := s.tokens.find(sum)
	if !ok {
		return s.byAPIToken(ctx, sum, actAs)
	}
	if t.launch {
		g, err := s.ActAs(ctx, actAs)
		g.Depth = t.depth
		return g, err
	}
	if t.user == "" {
		return Grant{}, api.Errorf(api.CodeUnauthorized, "the event of this token was caused by no user; log in with a user and a password")
	}
	if actAs != "" && !strings.EqualFold(actAs, t.user) {
		return Grant{}, otherUser(t.user, actAs)
	}
	u, err := s.actor(ctx, t.user)
	if err != nil {
		return Grant{}, err
	}
	if u.CreateTime != t.of {
		return Grant{}, api.Errorf(api.CodeUnauthorized, "user %s, whom this token acted as, was removed; the present one is another", u.Name)
	}
	return grantOf(u, t.depth), nil
}

// ActAs tells what one is entitled to who may act as everybody: a launch
// script, or who is known by the control socket. name is the user to act as;
// empty: a superuser who is nobody. Codes: unauthorized.
func (s *Service) ActAs(ctx context.Context, name string) (Grant, error) {
	if name == "" {
		return Grant{Superuser: true}, nil
	}
	u, err := s.actor(ctx, name)
	if err != nil {
		return Grant{}, err
	}
	return grantOf(u, 0), nil
}

// actor finds the user to act as.
func (s *Service) actor(ctx context.Context, name string) (User, error) {
	u, err := s.User(ctx, name)
	if errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		return u, api.Wrap(err, api.CodeUnauthorized, "there is no user %q to act as", name)
	}
	if err == nil && u.Disabled {
		err = errDisabled(u.Name)
	}
	return u, err
}

func grantOf(u User, depth int) Grant {
	return Grant{User: u.Name, Superuser: u.Superuser, Sandbox: u.Sandbox, Since: u.CreateTime, Depth: depth}
}

func otherUser(name, actAs string) error {
	return api.Errorf(api.CodeUnauthorized, "the token belongs to user %s and cannot act as %s; log in as %s with a password", name, actAs, actAs)
}

// find returns the token of a sum. The comparison takes constant time.
func (r *runTokens) find(sum [sha256.Size]byte) (found runToken, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for have, t := range r.bySum { // one for each running script
		if subtle.ConstantTimeCompare(have[:], sum[:]) == 1 {
			found, ok = t, true
		}
	}
	return found, ok
}
