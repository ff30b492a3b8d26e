package account

import "time"

// SetClock makes the service read the time from now.
func (s *Service) SetClock(now func() time.Time) { s.now = now }

// ObserveHashes calls f before each password hash, in its slot.
func (s *Service) ObserveHashes(f func()) { s.hasher.observe = f }

// WindowsName tells whether Windows would take the name.
func WindowsName(name string) bool { return WindowsNameFault(name) == "" }

// CheckHash tells whether a stored hash can be read.
func CheckHash(stored string) error {
	_, _, _, err := decodeHash(stored)
	return err
}

// The bounds that tests go to.
const (
	UserBurst    = userBurst
	UserInterval = userInterval
	ProofLife    = proofLife
	SessionLife  = sessionLife
	MaxSessions  = maxSessionsOfUser
)
