package api

import (
	"encoding/hex"

	"github.com/google/uuid"
)

// NewID makes an id: a UUIDv7 without dashes, 32 hex digits that sort by age.
// Ids name things; order is always a database sequence, never an id.
func NewID() string {
	id := uuid.Must(uuid.NewV7())
	return hex.EncodeToString(id[:])
}

// IsID tells whether s has the form of an id: 32 lower-case hex digits.
func IsID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
