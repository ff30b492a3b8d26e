package store

import (
	"context"
	"crypto/sha256"
	"sync"

	"jetstream/internal/account"
)

// maxCurrent bounds the users, and the tokens, that are kept read.
const maxCurrent = 1024

// current keeps the users and tokens that were read since one was last changed
// or removed, by this process or by another: the generation is asked for before
// each answer, so that no answer is older than the call that it is given to.
// That there is none of a name is not kept: who is new is found at once, and
// need not be told of.
type current struct {
	generation *generation
	// slow is held by the one who reads the database during a change. Many at a
	// time would hold up the commit, and that all of them.
	slow sync.Mutex

	mu      sync.Mutex
	of      uint64 // the number that all that is kept belongs to
	users   map[string]account.User
	byToken map[[sha256.Size]byte]tokenAndOwner
}

type tokenAndOwner struct {
	token account.APIToken
	owner account.User
}

func openCurrent(dir string) *current {
	return &current{generation: openGeneration(dir), users: map[string]account.User{}, byToken: map[[sha256.Size]byte]tokenAndOwner{}}
}

func (c *current) close() error { return c.generation.close() }

// updateAccounts is update for what changes or removes users or tokens. Those
// who come together do so one after the other, as there are few.
func (db *DB) updateAccounts(ctx context.Context, fn func(*tx) error) error {
	return db.current.generation.change(ctx, func() error { return db.update(ctx, fn) })
}

// lookUp answers from what is kept in kept, which is one of c's maps, or by
// read, whose answer is then kept as one of the number from before it.
func lookUp[K comparable, V any](c *current, kept map[K]V, key K, read func() (V, error)) (V, error) {
	number, settled := c.generation.number()
	if !settled {
		c.generation.settle() // for the next
		c.slow.Lock()
		defer c.slow.Unlock()
		return read()
	}
	c.mu.Lock()
	if c.of != number {
		c.of = number
		clear(c.users)
		clear(c.byToken)
	}
	v, ok := kept[key]
	c.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := read()
	if err != nil {
		return v, err
	}
	// What was changed meanwhile has another number: then this is kept in vain,
	// or not even that.
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == number {
		if len(kept) >= maxCurrent {
			clear(kept)
		}
		kept[key] = v
	}
	return v, nil
}
