package gateway

import (
	"sync"
	"time"

	"jetstream/internal/api"
)

// waitsShare is which part of the connections wait commands may hold; one user
// may hold half of that.
const waitsShare = 4

// largeBodies is how many bodies above freeBody may be in work at a time, and
// half of that of one user: what they take of memory is a few times their size.
const largeBodies = 16

// share bounds how many requests that may last long, or weigh much, are open at
// a time, all in all and of one user. Safe for concurrent use.
type share struct {
	all, each int
	refusal   string // says why with two numbers: all that are open, and this user's

	mu    sync.Mutex
	taken int
	of    map[string]int // by user, those who have any
}

func newShare(all int, refusal string) *share {
	return &share{all: max(1, all), each: max(1, all/2), refusal: refusal, of: map[string]int{}}
}

// take is tooManyRequests when there is no room for one more. Who got nil must
// call leave.
func (s *share) take(user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.all || s.of[user] >= s.each {
		e := api.Errorf(api.CodeTooManyRequests, s.refusal, s.taken, s.of[user])
		e.RetryAfter = 10 * time.Second
		return e
	}
	s.taken++
	s.of[user]++
	return nil
}

func (s *share) leave(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.of[user]--; s.of[user] == 0 {
		delete(s.of, user)
	}
}
