package store

import (
	"context"
	"crypto/sha256"
	"sync"

	"jetstream/internal/account"
)

// maxCached bounds how many users, and how many tokens, are cached.
const maxCached = 1024

// accountCache keeps users and tokens in memory, as each request needs one. It
// holds none while one is being changed or removed: then the database is read,
// so that from the commit on nobody gets what was before it. That there is
// none of a name is not cached: whoever is new is found at once.
type accountCache struct {
	mu       sync.RWMutex
	changing int    // changes that go on
	changes  uint64 // those that have begun or ended so far
	users    map[string]account.User
	tokens   map[[sha256.Size]byte]tokenAndOwner
}

type tokenAndOwner struct {
	token account.APIToken
	owner account.User
}

func newAccountCache() *accountCache {
	return &accountCache{users: map[string]account.User{}, tokens: map[[sha256.Size]byte]tokenAndOwner{}}
}

// updateAccounts is update for what changes or removes users or tokens.
func (db *DB) updateAccounts(ctx context.Context, fn func(*tx) error) error {
	c := db.accounts
	c.change(1)
	defer c.change(-1)
	return db.update(ctx, fn)
}

// change notes that a change begins (1) or has ended (-1).
func (c *accountCache) change(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changing += n
	c.changes++
	clear(c.users)
	clear(c.tokens)
}

// cached answers from entries, a map of c, or by read. What was read is kept
// unless a change began or ended meanwhile, or goes on.
func cached[K comparable, V any](c *accountCache, entries map[K]V, key K, read func() (V, error)) (V, error) {
	c.mu.RLock()
	v, ok := entries[key]
	changes := c.changes
	c.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := read()
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == changes && c.changing == 0 {
		if len(entries) >= maxCached {
			clear(entries)
		}
		entries[key] = v
	}
	return v, nil
}
