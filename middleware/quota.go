package middleware

import (
	"sync"
	"time"

	"jetstream/internal/api"
)

// UserQuota bounds how much of something is in use at a time, by all users
// together and by one: one user gets half of it. Safe for concurrent use.
type UserQuota struct {
	total, perUser int
	refusal        string

	mu     sync.Mutex
	used   int
	byUser map[string]int // of those who use any
}

// NewUserQuota makes a quota of total. refusal is what callers are told when it
// is used up: a sentence for fmt with two numbers, what is in use by all and by
// the caller.
func NewUserQuota(total int, refusal string) *UserQuota {
	return &UserQuota{total: max(1, total), perUser: max(1, total/2), refusal: refusal, byUser: map[string]int{}}
}

// Acquire takes n of the quota for a user, who must Release them. It fails with
// tooManyRequests when less is left. More than a user's half is granted to one
// who uses nothing, more than the total while nobody does.
func (q *UserQuota) Acquire(user string, n int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	used, byUser := q.used, q.byUser[user]
	if used > 0 && used+n > q.total || byUser > 0 && byUser+n > q.perUser {
		e := api.Errorf(api.CodeTooManyRequests, q.refusal, used, byUser)
		e.RetryAfter = 10 * time.Second
		return e
	}
	q.used += n
	q.byUser[user] += n
	return nil
}

// Release gives back what Acquire took.
func (q *UserQuota) Release(user string, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used -= n
	if q.byUser[user] -= n; q.byUser[user] == 0 {
		delete(q.byUser, user)
	}
}
