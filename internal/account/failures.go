package account

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"jetstream/internal/api"
)

const (
	// A user or an address may be wrong that often in a row, and then once in
	// every interval.
	userBurst       = 10
	userInterval    = 5 * time.Second
	addressBurst    = 20
	addressInterval = 2 * time.Second

	retryMin = time.Second
	// maxMeters bounds the memory of each kind. Two hashes at a time make
	// fewer wrong guesses than this before the oldest is forgotten anyway.
	maxMeters = 8192
)

// failures counts wrong credentials per user and per address. Each is a bucket
// that a failure fills by one and that drains steadily.
type failures struct {
	mu        sync.Mutex
	users     meters
	addresses meters
}

type meters struct {
	burst    float64
	interval time.Duration
	levels   map[string]meter
}

type meter struct {
	level float64 // failures not yet drained, at time at
	at    time.Time
}

func newFailures() *failures {
	return &failures{
		users:     meters{userBurst, userInterval, map[string]meter{}},
		addresses: meters{addressBurst, addressInterval, map[string]meter{}},
	}
}

// check tells whether one more guess is welcome now.
func (f *failures) check(name, remote string, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blocked(name, remote, now)
}

// take counts a guess as wrong, if it is welcome.
func (f *failures) take(name, remote string, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.blocked(name, remote, now); err != nil {
		return err
	}
	f.users.add(userKey(name), now)
	f.addresses.add(addressKey(remote), now)
	return nil
}

// giveBack takes back what take counted: the guess was right.
func (f *failures) giveBack(name, remote string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users.sub(userKey(name))
	f.addresses.sub(addressKey(remote))
}

func (f *failures) blocked(name, remote string, now time.Time) error {
	wait := max(f.users.wait(userKey(name), now), f.addresses.wait(addressKey(remote), now))
	if wait <= 0 {
		return nil
	}
	wait = max(wait, retryMin)
	return &api.Error{Code: api.CodeTooManyRequests, RetryAfter: wait, Message: fmt.Sprintf(
		"too many wrong logins for this user or from this address; try again after %d s", (wait+time.Second-1)/time.Second)}
}

func (m *meters) level(key string, now time.Time) float64 {
	have, ok := m.levels[key]
	if !ok {
		return 0
	}
	drained := float64(now.Sub(have.at)) / float64(m.interval)
	return max(0, have.level-max(0, drained))
}

// wait is how long until key has room for one more failure.
func (m *meters) wait(key string, now time.Time) time.Duration {
	over := m.level(key, now) + 1 - m.burst
	return time.Duration(over * float64(m.interval))
}

func (m *meters) add(key string, now time.Time) {
	if _, there := m.levels[key]; !there && len(m.levels) >= maxMeters {
		m.forget(now)
	}
	m.levels[key] = meter{m.level(key, now) + 1, now}
}

func (m *meters) sub(key string) {
	if have, ok := m.levels[key]; ok {
		if have.level--; have.level <= 0 {
			delete(m.levels, key)
			return
		}
		m.levels[key] = have
	}
}

// forget makes room: what has drained goes, else the lowest.
func (m *meters) forget(now time.Time) {
	lowest, lowestLevel := "", m.burst+1
	for key := range m.levels {
		level := m.level(key, now)
		if level <= 0 {
			delete(m.levels, key)
		} else if level < lowestLevel {
			lowest, lowestLevel = key, level
		}
	}
	if len(m.levels) >= maxMeters {
		delete(m.levels, lowest)
	}
}

// userKey bounds what a stranger can make us remember.
func userKey(name string) string {
	return fold(name[:min(len(name), maxNameBytes+1)])
}

// addressKey is the IPv4 address, or the /64 that one IPv6 host may choose its
// address from, without port.
func addressKey(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		withPort, err := netip.ParseAddrPort(remote)
		if err != nil {
			return remote[:min(len(remote), maxNameBytes)]
		}
		addr = withPort.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	if p, err := addr.Prefix(64); err == nil {
		return p.String()
	}
	return addr.String()
}
