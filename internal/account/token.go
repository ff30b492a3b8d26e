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

// Grant is what a token entitles to.
type Grant struct {
	// User is the account that it acts as; empty for a launch script's token
	// that named nobody.
	User string
	// Superuser is the user's present right, if the token lets it through; true
	// where User is empty.
	Superuser bool
	// Sandbox is the user's, as User.Sandbox; empty where User is.
	Sandbox string
	// Since is when the user was made; 0 where User is empty.
	Since api.Time
	// Scope is what an API token narrows the user's rights to; nil for others.
	Scope *api.Scope
	// Depth is the number of trigger runs that led to the script that has it.
	Depth int
}

// runTokens are those of the scripts that run now. Only their SHA-256 is kept.
type runTokens struct {
	mu    sync.Mutex
	bySum map[[sha256.Size]byte]runToken
}

type runToken struct {
	user   string
	of     api.Time // when the user was made; another one of the name is not meant
	launch bool
	depth  int
}

func newRunTokens() *runTokens { return &runTokens{bySum: map[[sha256.Size]byte]runToken{}} }

// IssueRunToken makes the credential of one run of a trigger script, valid
// until RevokeRunToken. It acts as user; with launch it has no user. depth is
// the depth of the run. The form is api.TokenPrefix's.
func (s *Service) IssueRunToken(user string, launch bool, depth int) string {
	if launch {
		user = ""
	}
	token := newTokenText(user)
	u, _ := s.User(context.Background(), user) // a token of nobody who can be found is refused
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	s.tokens.bySum[sha256.Sum256([]byte(token))] = runToken{user, u.CreateTime, launch, depth}
	return token
}

// RevokeRunToken ends a token; one that is not there is passed over.
func (s *Service) RevokeRunToken(token string) {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	delete(s.tokens.bySum, sha256.Sum256([]byte(token)))
}

// ByToken tells what a run token or an API token entitles to, with the user's
// rights of this moment. actAs, if not empty, names the user that a launch token shall act
// as; on a token that has a user it must be that user. Codes: unauthorized.
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

// find compares sums in constant time: how far a guess agrees cannot be told
// from the answer's time.
func (r *runTokens) find(sum [sha256.Size]byte) (found runToken, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for have, t := range r.bySum { // as many as scripts run now
		if subtle.ConstantTimeCompare(have[:], sum[:]) == 1 {
			found, ok = t, true
		}
	}
	return found, ok
}
