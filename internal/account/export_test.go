package account

import "time"

// SetClock replaces the clock of the service.
func (s *Service) SetClock(now func() time.Time) { s.now = now }

// ObserveHashes makes the service call f before each password hash.
func (s *Service) ObserveHashes(f func()) { s.hasher.observe = f }

// WindowsName reports whether name can be a file name on Windows.
func WindowsName(name string) bool { return WindowsNameFault(name) == "" }

// CheckHash returns an error if a stored hash cannot be decoded.
func CheckHash(stored string) error {
	_, _, _, err := decodeHash(stored)
	return err
}

// Limits for tests.
const (
	UserBurst    = userBurst
	UserInterval = userInterval
	ProofLife    = proofLife
	SessionLife  = sessionLife
	MaxSessions  = maxSessionsOfUser
)
