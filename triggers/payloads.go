package triggers

import (
	"strings"
	"sync"
)

// payloads counts the parameters of the waiting on.* runs in bytes. Safe for
// concurrent use.
type payloads struct {
	mu     sync.Mutex
	total  int64
	ofUser map[string]int64
}

// reserve counts n bytes of a user, unless all together would be above limit or
// those of the user above half of it.
func (p *payloads) reserve(user string, n, limit int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total+n > limit || p.ofUser[user]+n > limit/2 {
		return false
	}
	p.change(user, n)
	return true
}

// release undoes reserve.
func (p *payloads) release(user string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change(user, -n)
}

// add counts a run that waits.
func (p *payloads) add(r *Run) { p.release(r.User, -payload(r)) }

// remove undoes add or reserve for a run that waits no longer.
func (p *payloads) remove(r *Run) { p.release(r.User, payload(r)) }

// payload returns how much of a run is counted.
func payload(r *Run) int64 {
	if !strings.HasPrefix(r.Event, commandPrefix) {
		return 0
	}
	return int64(len(r.Parameters))
}

func (p *payloads) change(user string, n int64) {
	p.total += n
	if p.ofUser[user] += n; p.ofUser[user] == 0 {
		delete(p.ofUser, user)
	}
}

// sums returns the bytes of all users and of one.
func (p *payloads) sums(user string) (total, ofUser int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total, p.ofUser[user]
}
