package account

import (
	"crypto/rand"
	"log/slog"
	"strings"
	"time"
)

// Options configure a Service.
type Options struct {
	// SandboxDir is the directory of users without a sandbox of their own, an
	// absolute path in which %u is the user's name. It is made with mode 0750
	// when it is first used. Empty: such users have no files.
	SandboxDir string
	// Protected lists what received data must not be able to reach: trigger
	// directory, state directory, program file.
	Protected []Protected
	// Log is for the operator; nil discards it.
	Log *slog.Logger
}

// Service manages accounts. Safe for concurrent use.
//
// Proofs, run tokens and sessions are kept in memory, but the user is read from
// the store at each use. Changing a password and disabling or removing a user
// therefore take effect at once.
type Service struct {
	store     Store
	options   Options
	log       *slog.Logger
	hasher    *hasher
	dummyHash string // the hash to verify passwords of unknown users with
	proofs    *proofs
	failures  *failures
	tokens    *runTokens
	sessions  *sessions
	now       func() time.Time
}

// New returns a service on top of store.
func New(store Store, o Options) *Service {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Service{
		store: store, options: o, log: log, now: time.Now,
		hasher: newHasher(), dummyHash: encodeHash(presentCost(), randomBytes(saltBytes), randomBytes(keyBytes)),
		proofs: newProofs(), failures: newFailures(), tokens: newRunTokens(), sessions: newSessions(),
	}
}

// randomBytes returns n random bytes.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // documented to never return an error
	return b
}

// fold returns the form in which names are compared: in lower case. Since names
// are ASCII it is equivalent to SQLite's NOCASE.
func fold(name string) string { return strings.ToLower(name) }
