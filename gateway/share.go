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

// freeAnswer is how large an answer may be, in bytes, that needs no room;
// answerRoom is how much larger ones may take at a time, in KiB, and half of that
// of one user: the server holds them until they are read, a few times over.
const (
	freeAnswer = 64 << 10
	answerRoom = 256 << 10
)

// share bounds how many requests that may last long, or how much of what weighs
// much, are open at a time, all in all and of one user. Safe for concurrent use.
type share struct {
	all, each int
	refusal   string // says why with two numbers: what is open in all, and of this user

	mu    sync.Mutex
	taken int
	of    map[string]int // by user, those who have any
}

func newShare(all int, refusal string) *share {
	return &share{all: max(1, all), each: max(1, all/2), refusal: refusal, of: map[string]int{}}
}

// take is tooManyRequests when there is no room for n more; one that is too large
// for all the room there is may be the only one. Who got nil must call leave.
func (s *share) take(user string, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, of := s.taken, s.of[user]
	if have > 0 && have+n > s.all || of > 0 && of+n > s.each {
		e := api.Errorf(api.CodeTooManyRequests, s.refusal, have, of)
		e.RetryAfter = 10 * time.Second
		return e
	}
	s.taken += n
	s.of[user] += n
	return nil
}

func (s *share) leave(user string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken -= n
	if s.of[user] -= n; s.of[user] == 0 {
		delete(s.of, user)
	}
}
