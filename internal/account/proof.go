package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

const (
	// proofLife is how long a right password spares later logins the hash.
	proofLife = 5 * time.Minute
	maxProofs = 4096
)

// proofs remembers which passwords were right lately. It keeps only an HMAC
// over the stored hash and the password, under a key of this process: it binds
// a proof to the hash that it was held against, and is worth nothing outside.
type proofs struct {
	key []byte

	mu     sync.Mutex
	byUser map[string]proof
}

type proof struct {
	mac     [sha256.Size]byte
	expires time.Time
}

func newProofs() *proofs {
	return &proofs{key: randomBytes(32), byUser: map[string]proof{}}
}

func (p *proofs) mac(u User, password string) (sum [sha256.Size]byte) {
	m := hmac.New(sha256.New, p.key)
	for _, part := range []string{fold(u.Name), u.Hash, password} {
		_ = binary.Write(m, binary.BigEndian, uint64(len(part))) // a hash takes all
		_, _ = m.Write([]byte(part))
	}
	m.Sum(sum[:0])
	return sum
}

// holds tells whether password was proved to be u's against u's present hash.
func (p *proofs) holds(u User, password string, now time.Time) bool {
	if u.Hash == "" {
		return false
	}
	p.mu.Lock()
	known, ok := p.byUser[fold(u.Name)]
	p.mu.Unlock()
	mac := p.mac(u, password)
	return ok && now.Before(known.expires) && hmac.Equal(known.mac[:], mac[:])
}

// keep remembers that password is u's.
func (p *proofs) keep(u User, password string, now time.Time) {
	mac := p.mac(u, password)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.byUser) >= maxProofs {
		for name, old := range p.byUser {
			if !now.Before(old.expires) {
				delete(p.byUser, name)
			}
		}
	}
	if len(p.byUser) >= maxProofs {
		for name := range p.byUser { // any: it costs its user one hash
			delete(p.byUser, name)
			break
		}
	}
	p.byUser[fold(u.Name)] = proof{mac, now.Add(proofLife)}
}
