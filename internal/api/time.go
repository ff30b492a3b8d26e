package api

import (
	"strconv"
	"time"
)

// Time is a time in the API: microseconds since the Unix epoch in UTC. Zero
// means "not valid yet" and is encoded as null.
type Time int64

// TimeOf converts a time.Time; the zero time becomes 0.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMicro())
}

// Now returns the current time.
func Now() Time { return TimeOf(time.Now()) }

// Std converts to a time.Time; 0 becomes the zero time.
func (t Time) Std() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(t)).UTC()
}

// MarshalJSON encodes 0 as null.
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(t), 10), nil
}

// UnmarshalJSON decodes what MarshalJSON has encoded.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = 0
		return nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	*t = Time(n)
	return err
}
