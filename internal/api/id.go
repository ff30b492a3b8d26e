package api

import (
	"encoding/hex"

	"github.com/google/uuid"
)

// NewID returns a new id: a UUIDv7 without dashes, 32 hex digits that sort by
// age. Lists are ordered by a database sequence, never by id.
func NewID() string {
	id := uuid.Must(uuid.NewV7())
	return hex.EncodeToString(id[:])
}

// IsID reports whether s has the form of an id: 32 lower-case hex digits.
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
