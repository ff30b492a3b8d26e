package account

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"jetstream/internal/api"
)

const (
	saltBytes = 16
	keyBytes  = 32
	// maxHashes run at a time: each takes 19 MiB and a core.
	maxHashes = 2
	// maxWaiting may wait for their turn; one who comes then is told to come
	// again, so that a flood costs a bounded number of waiting requests.
	maxWaiting = 4096

	maxPasswordBytes = 1024
)

// cost is what one argon2id hash takes.
type cost struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// presentCost is what new hashes take.
func presentCost() cost { return cost{memory: 19 * 1024, time: 2, threads: 1} }

// hasher bounds how many password hashes are worked on at a time.
type hasher struct {
	slots   chan struct{}
	waiting atomic.Int64
	// setting is held by the one who makes a new hash: logins, which wait for the
	// same slots, find others of their own kind before them, and one of these.
	setting chan struct{}
	// observe is called in the slot before each hash; tests count with it.
	observe func()
}

func newHasher() *hasher {
	return &hasher{slots: make(chan struct{}, maxHashes), setting: make(chan struct{}, 1)}
}

// enter waits for a slot until ctx ends; the caller must leave it.
func (h *hasher) enter(ctx context.Context) error {
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

func (h *hasher) leave() { <-h.slots }

// key computes; the caller is in a slot.
func (h *hasher) key(password string, c cost, salt []byte, length uint32) []byte {
	if h.observe != nil {
		h.observe()
	}
	return argon2.IDKey([]byte(password), salt, c.time, c.memory, c.threads, length)
}

// hash makes a new hash of password, waiting for a slot after those who came
// before.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	select {
	case h.setting <- struct{}{}:
		defer func() { <-h.setting }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	salt := randomBytes(saltBytes)
	return encodeHash(presentCost(), salt, h.key(password, presentCost(), salt, keyBytes)), nil
}

// verify holds password against a stored hash; the caller is in a slot. The
// error tells that the stored hash cannot be read.
func (h *hasher) verify(stored, password string) (bool, error) {
	c, salt, want, err := decodeHash(stored)
	if err != nil {
		return false, err
	}
	got := h.key(password, c, salt, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// encodeHash writes the PHC string form.
func encodeHash(c cost, salt, key []byte) string {
	e := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, c.memory, c.time, c.threads, e.EncodeToString(salt), e.EncodeToString(key))
}

// decodeHash reads the PHC string form, refusing costs that would let a
// tampered database take the machine's memory.
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
