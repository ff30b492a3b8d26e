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

// sessions are the logins of the web page. They are kept in memory and end with
// the process. The key is the SHA-256 of the id.
type sessions struct {
	mu    sync.Mutex
	bySum map[[sha256.Size]byte]session
}

type session struct {
	user    string
	hash    string // that of the user at login; a new password ends the session
	expires time.Time
}

func newSessions() *sessions { return &sessions{bySum: map[[sha256.Size]byte]session{}} }

// OpenSession opens a session of u, whom Login has returned. id is the secret
// for the cookie. If there are too many sessions, it evicts the one that
// expires first, of the same user if that has too many.
func (s *Service) OpenSession(u User) (id string, expires time.Time) {
	id = base64.RawURLEncoding.EncodeToString(randomBytes(32))
	now := s.now()
	expires = now.Add(sessionLife)
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	s.sessions.evict(u.Name, now)
	s.sessions.bySum[sha256.Sum256([]byte(id))] = session{u.Name, u.Hash, expires}
	return id, expires
}

// evict removes expired sessions, and another one if there are too many for a
// new session of user. mu is held.
func (m *sessions) evict(user string, now time.Time) {
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

// BySession returns the user of a session. Codes: unauthorized when the session
// has ended or the user is disabled.
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

// CloseSession ends a session, if there is one of that id.
func (s *Service) CloseSession(id string) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	delete(s.sessions.bySum, sha256.Sum256([]byte(id)))
}
