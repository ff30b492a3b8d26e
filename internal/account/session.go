package account

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sync"
	"time"

	"jetstream/internal/api"
)

const (
	sessionLife       = 12 * time.Hour
	maxSessions       = 4096
	maxSessionsOfUser = 64
)

// sessions are the logins of the page, in memory only: a restart ends them.
// The key is the id's SHA-256.
type sessions struct {
	mu    sync.Mutex
	bySum map[[sha256.Size]byte]session
}

type session struct {
	user    string
	hash    string // the user's at login: another password ends the session
	expires time.Time
}

func newSessions() *sessions { return &sessions{bySum: map[[sha256.Size]byte]session{}} }

// OpenSession begins a session of u, whom Login has let in. id is the secret
// that the cookie carries. Beyond a bound the one that ends soonest gives way,
// first among the same user's.
func (s *Service) OpenSession(u User) (id string, expires time.Time) {
	id = base64.RawURLEncoding.EncodeToString(randomBytes(32))
	now := s.now()
	expires = now.Add(sessionLife)
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	s.sessions.makeRoom(u.Name, now)
	s.sessions.bySum[sha256.Sum256([]byte(id))] = session{u.Name, u.Hash, expires}
	return id, expires
}

// makeRoom keeps the bounds with one more to come. mu is held.
func (m *sessions) makeRoom(user string, now time.Time) {
	var oldest, oldestOwn [sha256.Size]byte
	own := 0
	for sum, have := range m.bySum {
		if !now.Before(have.expires) {
			delete(m.bySum, sum)
			continue
		}
		if first, ok := m.bySum[oldest]; !ok || have.expires.Before(first.expires) {
			oldest = sum
		}
		if have.user != user {
			continue
		}
		own++
		if first, ok := m.bySum[oldestOwn]; !ok || have.expires.Before(first.expires) {
			oldestOwn = sum
		}
	}
	if own >= maxSessionsOfUser {
		delete(m.bySum, oldestOwn)
	} else if len(m.bySum) >= maxSessions {
		delete(m.bySum, oldest)
	}
}

// BySession tells whose session it is, as the user stands now. Codes:
// unauthorized when it has ended.
func (s *Service) BySession(ctx context.Context, id string) (User, error) {
	sum := sha256.Sum256([]byte(id))
	s.sessions.mu.Lock()
	have, ok := s.sessions.bySum[sum]
	s.sessions.mu.Unlock()
	if !ok || !s.now().Before(have.expires) {
		return User{}, errSessionEnded()
	}
	u, err := s.User(ctx, have.user)
	switch {
	case errors.Is(err, &api.Error{Code: api.CodeNotFound}):
		s.CloseSession(id)
		return User{}, errSessionEnded()
	case err != nil:
		return User{}, err
	case u.Disabled:
		return User{}, errDisabled(u.Name)
	case u.Hash != have.hash:
		s.CloseSession(id)
		return User{}, errSessionEnded()
	}
	return u, nil
}

func errSessionEnded() error {
	return api.Errorf(api.CodeUnauthorized, "the session has ended; sign in again")
}

// CloseSession ends a session; one that is not there is passed over.
func (s *Service) CloseSession(id string) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	delete(s.sessions.bySum, sha256.Sum256([]byte(id)))
}
