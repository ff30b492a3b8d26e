package account

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"jetstream/internal/api"
)

const (
	saltBytes = 16
	keyBytes  = 32
	// maxHashes is how many hashes are computed at the same time. Each takes 19
	// MiB and a core.
	maxHashes = 2
	// maxWaiting is how many calls may wait for a slot; further ones get
	// tooManyRequests.
	maxWaiting = 4096

	maxPasswordBytes = 1024
)

// cost holds the parameters of an argon2id hash.
type cost struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// presentCost returns the parameters of new hashes.
func presentCost() cost { return cost{memory: 19 * 1024, time: 2, threads: 1} }

// hasher computes password hashes, of which it limits the concurrent ones.
type hasher struct {
	slots   chan struct{}
	waiting atomic.Int64
	// setting holds a token while a new password is hashed, so that no more
	// than one of these competes with the logins for slots.
	setting chan struct{}
	// observe is called before each hash, for tests.
	observe func()
}

func newHasher() *hasher {
	return &hasher{slots: make(chan struct{}, maxHashes), setting: make(chan struct{}, 1)}
}

// acquire waits for a slot until ctx ends. The caller must release it.
func (h *hasher) acquire(ctx context.Context) error {
	if h.waiting.Add(1) > maxWaiting {
		h.waiting.Add(-1)
		return &api.Error{Code: api.CodeTooManyRequests, RetryAfter: retryMin,
			Message: "too many logins at a time; try again in a moment"}
	}
	defer h.waiting.Add(-1)
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hasher) release() { <-h.slots }

// key computes a hash. The caller must hold a slot.
func (h *hasher) key(password string, c cost, salt []byte, length uint32) []byte {
	if h.observe != nil {
		h.observe()
	}
	// Its 19 MiB would else count as the live heap of a collection, of which the
	// next one waits for a multiple.
	defer debug.FreeOSMemory()
	return argon2.IDKey([]byte(password), salt, c.time, c.memory, c.threads, length)
}

// hash returns a new hash of password in PHC string form.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	select {
	case h.setting <- struct{}{}:
		defer func() { <-h.setting }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer h.release()
	salt := randomBytes(saltBytes)
	return encodeHash(presentCost(), salt, h.key(password, presentCost(), salt, keyBytes)), nil
}

// verify compares password with a stored hash. The caller must hold a slot. It
// returns an error if the stored hash cannot be decoded.
func (h *hasher) verify(stored, password string) (bool, error) {
	c, salt, want, err := decodeHash(stored)
	if err != nil {
		return false, err
	}
	got := h.key(password, c, salt, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// encodeHash returns the PHC string form of a hash.
func encodeHash(c cost, salt, key []byte) string {
	e := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, c.memory, c.time, c.threads, e.EncodeToString(salt), e.EncodeToString(key))
}

// decodeHash decodes the PHC string form. It refuses costs so high that a
// tampered database could exhaust the memory.
func decodeHash(s string) (c cost, salt, key []byte, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, fmt.Errorf("stored password hash is not an argon2id hash of version %d", argon2.Version)
	}
	n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.threads)
	if err != nil || n != 3 || c.memory < 8 || c.memory > 256*1024 || c.time < 1 || c.time > 16 || c.threads < 1 || c.threads > 16 {
		return c, nil, nil, fmt.Errorf("stored password hash has unusable costs %q", parts[3])
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err == nil {
		key, err = base64.RawStdEncoding.DecodeString(parts[5])
	}
	if err != nil || len(salt) < 8 || len(salt) > 64 || len(key) < 16 || len(key) > 64 {
		return c, nil, nil, fmt.Errorf("stored password hash has an unusable salt or key")
	}
	return c, salt, key, nil
}
