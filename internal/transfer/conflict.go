package transfer

import "time"

// What happens when a file exists at the receiver.
const (
	ConflictOverwrite = "overwrite"
	ConflictChanged   = "changed" // overwritten unless size and time are the same
	ConflictUpdate    = "update"  // overwritten where the source is newer
	ConflictSkip      = "skip"
	ConflictRename    = "rename"
	ConflictFail      = "fail"
)

// MaySkip reports whether a file that exists may be kept.
func MaySkip(conflict string) bool {
	return conflict == ConflictSkip || conflict == ConflictChanged || conflict == ConflictUpdate
}

// Replaces reports whether a file that exists is replaced, unless it is kept.
func Replaces(conflict string) bool {
	return conflict == ConflictOverwrite || conflict == ConflictChanged || conflict == ConflictUpdate
}

// Keeps reports whether a file of that size and time at the receiver is kept, and
// thus the one of the sender not sent.
func Keeps(conflict string, size int64, modTime time.Time, sourceSize int64, sourceTime time.Time) bool {
	unit := max(resolution(modTime), resolution(sourceTime))
	have, sent := modTime.Truncate(unit), sourceTime.Truncate(unit)
	switch conflict {
	case ConflictSkip:
		return true
	case ConflictChanged:
		return size == sourceSize && have.Equal(sent)
	case ConflictUpdate:
		return !sent.After(have)
	}
	return false
}

// resolution returns the resolution that the file system of a time seems to
// have: the coarsest usual one, up to a second, that the time is a multiple of.
func resolution(t time.Time) time.Duration {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond, 100 * time.Nanosecond} {
		if t.Nanosecond()%int(unit) == 0 {
			return unit
		}
	}
	return time.Nanosecond
}
