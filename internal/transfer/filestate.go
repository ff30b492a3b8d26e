package transfer

import (
	"os"
	"time"
)

// FileState tells a file, and what is in it, from any other: a file with the same state
// has not been changed or replaced.
type FileState struct {
	Device, Inode uint64
	Size          int64
	ModTime       int64 // nanoseconds since the Unix epoch
	// ChangeTime is when data or attributes have changed last, which nobody can set,
	// in the same form.
	ChangeTime int64
}

// SentSource is in which state the source of an entry of a manifest was read.
type SentSource struct {
	Index int64
	FileState
}

// clockTick is how long the times of a file may stay the same although it changes: more
// than a tick of the kernel's clock, from which they are.
const clockTick = 20 * time.Millisecond

// StateBeforeReading returns the state of a file that is about to be read. It is not ok
// either if the file has changed so recently that a further change might not show.
func StateBeforeReading(fi os.FileInfo) (s FileState, ok bool) {
	s, ok = StateOf(fi)
	return s, ok && time.Since(time.Unix(0, s.ChangeTime)) > clockTick
}

// StateOf returns the state of a file; ok is false where the system does not tell it.
func StateOf(fi os.FileInfo) (s FileState, ok bool) {
	s = FileState{Size: fi.Size(), ModTime: nanoseconds(fi.ModTime())}
	return s, addIdentity(&s, fi)
}
