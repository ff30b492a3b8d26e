package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

const (
	// proofLife is how long a verified password is remembered.
	proofLife = 5 * time.Minute
	maxProofs = 4096
)

// proofs remembers recently verified passwords, so that they need not be hashed
// at each call. It stores an HMAC of the user's hash and the password under a
// key of this process: a proof ends with the password, and is useless
// elsewhere.
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
		_ = binary.Write(m, binary.BigEndian, uint64(len(part))) // never fails
		_, _ = m.Write([]byte(part))
	}
	m.Sum(sum[:0])
	return sum
}

// has reports whether password was recently verified with the present hash of
// u.
func (p *proofs) has(u User, password string, now time.Time) bool {
	if u.Hash == "" {
		return false
	}
	p.mu.Lock()
	known, ok := p.byUser[fold(u.Name)]
	p.mu.Unlock()
	mac := p.mac(u, password)
	return ok && now.Before(known.expires) && hmac.Equal(known.mac[:], mac[:])
}

// add remembers that password was verified with the hash of u.
func (p *proofs) add(u User, password string, now time.Time) {
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
		for name := range p.byUser { // any of them: its user must be verified anew
			delete(p.byUser, name)
			break
		}
	}
	p.byUser[fold(u.Name)] = proof{mac, now.Add(proofLife)}
}
