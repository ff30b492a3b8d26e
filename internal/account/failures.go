package account

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"jetstream/internal/api"
)

const (
	// A user or an address may fail so often in a row, and then once in every
	// interval.
	userBurst       = 10
	userInterval    = 5 * time.Second
	addressBurst    = 20
	addressInterval = 2 * time.Second

	retryMin = time.Second
	// maxMeters bounds the number of users and that of addresses which are
	// remembered.
	maxMeters = 8192
)

// failures limits the rate of failed logins per user and per address. Each of
// them is a leaky bucket: a failure adds one, and it drains at a constant rate.
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

// check returns an error if another attempt is over the limit.
func (f *failures) check(name, remote string, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blocked(name, remote, now)
}

// charge counts a failed attempt, unless it is over the limit.
func (f *failures) charge(name, remote string, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.blocked(name, remote, now); err != nil {
		return err
	}
	f.users.add(userKey(name), now)
	f.addresses.add(addressKey(remote), now)
	return nil
}

// refund undoes charge after a successful attempt.
func (f *failures) refund(name, remote string) {
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

// wait returns how long key must wait until its next attempt.
func (m *meters) wait(key string, now time.Time) time.Duration {
	over := m.level(key, now) + 1 - m.burst
	return time.Duration(over * float64(m.interval))
}

func (m *meters) add(key string, now time.Time) {
	if _, there := m.levels[key]; !there && len(m.levels) >= maxMeters {
		m.evict(now)
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

// evict removes the drained meters, or else the one with the lowest level.
func (m *meters) evict(now time.Time) {
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

// userKey returns the key of a user name, of which clients may choose any
// length.
func userKey(name string) string {
	return fold(name[:min(len(name), maxNameBytes+1)])
}

// addressKey returns the key of an address: the IPv4 address, or the /64
// network of an IPv6 address, within which a host can choose its addresses.
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
