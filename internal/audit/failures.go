package audit

import (
	"encoding/json"
	"sync"
	"time"

	"jetstream/internal/api"
)

const (
	// window is how long equal failures are counted before they are recorded.
	window = time.Minute
	// maxDifferent is how many different failures are counted at a time, of users
	// and of strangers each; of what differs from them all, less is recorded. So
	// nobody can fill the event log.
	maxDifferent = 64
)

// failures counts equal failures and refusals. The first is recorded at once, those
// of each minute after it together.
type failures struct {
	mu    sync.Mutex
	equal map[string]*repeated // by all that a record says, but its request id
}

// repeated is failures that equal one that was recorded.
type repeated struct {
	user   string
	record Record
	since  api.Time
	count  int64
}

// add counts a failure; first reports that none equals it, and it is to be
// recorded.
func (f *failures) add(user string, r Record) (first bool) {
	key := keyOf(user, r)
	f.mu.Lock()
	defer f.mu.Unlock()
	have := f.equal[key]
	if have == nil {
		if f.equal == nil {
			f.equal = map[string]*repeated{}
		}
		f.equal[key] = &repeated{user: user, record: r}
		return true
	}
	if have.count++; have.count == 1 {
		have.since, have.record.RequestID = api.Now(), r.RequestID
	}
	return false
}

// full reports that the failure differs from maxDifferent others.
func (f *failures) full(user string, r Record) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.equal) >= maxDifferent && f.equal[keyOf(user, r)] == nil
}

func keyOf(user string, r Record) string {
	r.RequestID = ""
	b, err := json.Marshal(r)
	if err != nil { // cannot happen: its parameters are JSON
		return user + " " + r.Action
	}
	return user + " " + string(b)
}

// take returns what was counted, and forgets what did not come again.
func (f *failures) take() (list []repeated) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, have := range f.equal {
		if have.count == 0 {
			delete(f.equal, key)
			continue
		}
		r := *have
		r.record.Count, r.record.Since = have.count, have.since
		list = append(list, r)
		have.count = 0
	}
	return list
}

// Count records what a user could not do, or counts it if an equal failure was
// recorded in the last minute.
func (l *Log) Count(user string, r Record) {
	r.bound()
	if l.users.full(user, r) {
		r = Record{Action: r.Action, Status: r.Status}
		r.bound()
	}
	if l.users.add(user, r) {
		l.write(user, r)
	}
}

// CountStranger is Count for whoever is not logged in; user is a name that they
// gave.
func (l *Log) CountStranger(user string, r Record) {
	r.bound()
	if l.strangers.full(user, r) {
		user, r = "", Record{Action: r.Action, Status: r.Status}
		r.bound()
	}
	if l.strangers.add(user, r) {
		l.write(user, r)
	}
}

// flush records the failures that were counted.
func (l *Log) flush() {
	for _, of := range []*failures{&l.strangers, &l.users} {
		for _, r := range of.take() {
			l.write(r.user, r.record)
		}
	}
}
