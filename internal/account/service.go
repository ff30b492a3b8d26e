package account

import (
	"crypto/rand"
	"log/slog"
	"strings"
	"time"
)

// Options say how accounts are kept.
type Options struct {
	// SandboxDir is the directory of users that have no sandbox of their own;
	// %u in it is the user's name. It must be absolute. It is made with mode
	// 0750 at a user's first use. The server's default is files/%u beside the
	// state directory; empty: such users have no files at all.
	SandboxDir string
	// Protected are the places that received data must never reach: trigger
	// directory, state directory, program file. Default: none.
	Protected []Protected
	// Log gets what the operator should know; nil is silent.
	Log *slog.Logger
}

// Service answers who somebody is and what is theirs. Safe for concurrent use.
//
// Nothing that it remembers (proofs, run tokens, page sessions) grants
// anything by itself: the user is read from the store at each use, so that a
// changed password, a disabled or a removed user counts at once, also when
// another process made the change.
type Service struct {
	store    Store
	options  Options
	log      *slog.Logger
	hasher   *hasher
	stranger string // the hash that passwords of unknown users are held against
	proofs   *proofs
	failures *failures
	tokens   *runTokens
	sessions *sessions
	now      func() time.Time
}

// New makes the service on top of store; it starts nothing.
func New(store Store, o Options) *Service {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Service{
		store: store, options: o, log: log, now: time.Now,
		hasher: newHasher(), stranger: encodeHash(presentCost(), randomBytes(saltBytes), randomBytes(keyBytes)),
		proofs: newProofs(), failures: newFailures(), tokens: newRunTokens(), sessions: newSessions(),
	}
}

// randomBytes never fails: crypto/rand ends the program rather than give less.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // documented to never return an error
	return b
}

// fold is the form under which names are compared: without case. Names are
// ASCII, so that this is what SQLite's NOCASE does.
func fold(name string) string { return strings.ToLower(name) }
