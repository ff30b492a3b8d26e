package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	"jetstream/internal/account"
)

// maxCurrent bounds the users, and the tokens, that are kept read.
const maxCurrent = 1024

// current keeps the users and tokens that were read since the database last
// changed. SQLite numbers its states (data_version): before each answer the
// number is asked for, and when anything at all was committed since, by this
// process or by another, all is forgotten. So an answer is never older than
// the call that it is given to.
type current struct {
	mu      sync.Mutex
	conn    *sql.Conn // for the number alone: it is counted from there
	number  driver.StmtQueryContext
	state   int64
	users   map[string]account.User
	byToken map[[sha256.Size]byte]tokenAndOwner
}

type tokenAndOwner struct {
	token account.APIToken
	owner account.User
}

func openCurrent(ctx context.Context, readers *readers) (*current, error) {
	c := &current{users: map[string]account.User{}, byToken: map[[sha256.Size]byte]tokenAndOwner{}}
	var err error
	if c.conn, err = readers.Conn(ctx); err != nil {
		return nil, err
	}
	err = c.conn.Raw(func(conn any) error {
		p, ok := conn.(driver.ConnPrepareContext)
		if !ok {
			return errors.New("the database driver compiles no statements")
		}
		s, err := p.PrepareContext(ctx, "PRAGMA data_version")
		if err != nil {
			return err
		}
		if c.number, ok = s.(driver.StmtQueryContext); !ok {
			return errors.Join(errors.New("the database driver carries out no compiled queries"), s.Close())
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, c.conn.Close())
	}
	return c, nil
}

func (c *current) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.conn.Raw(func(any) error {
		if s, ok := c.number.(driver.Stmt); ok {
			return s.Close()
		}
		return nil
	})
	return errors.Join(err, c.conn.Close())
}

// renew asks for the database's state and forgets what belongs to another. mu
// is held.
func (c *current) renew() error {
	state := [1]driver.Value{}
	err := c.conn.Raw(func(any) (err error) {
		rows, err := c.number.QueryContext(context.Background(), nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		return rows.Next(state[:])
	})
	n, ok := state[0].(int64)
	if err == nil && !ok {
		err = fmt.Errorf("the state of the database is no number: %v", state[0])
	}
	if err != nil || n != c.state {
		c.state = n
		clear(c.users)
		clear(c.byToken)
	}
	return err
}

// lookUp answers from what is kept in kept, which is one of c's maps, or by
// read, which is then kept: but not when the database changed meanwhile.
func lookUp[K comparable, V any](c *current, kept map[K]V, key K, read func() (V, error)) (V, error) {
	c.mu.Lock()
	err := c.renew()
	v, ok := kept[key]
	state := c.state
	c.mu.Unlock()
	if err == nil && ok {
		return v, nil
	}
	v, readErr := read()
	if err != nil || readErr != nil {
		return v, readErr
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == state {
		if len(kept) >= maxCurrent {
			clear(kept)
		}
		kept[key] = v
	}
	return v, nil
}
