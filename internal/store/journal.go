package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"

	"jetstream/internal/stream"
	"jetstream/triggers"
)

// journal is a file in which updates that only add runs and entries become
// durable by one write and one sync, at a fraction of what SQLite does for as
// many rows; the tables get them later, many at a time (import.go). Only the one
// server of the state directory uses it.
//
// The file is a row of frames, one for each commit, in room that was written
// before, so that a sync writes no more than they are. It begins anew whenever
// the tables have all of it on disk. A frame counts if its sum is right and its
// turn is the one that the tables know: neither half a frame, nor one of an
// earlier turn, nor one of another database is ever taken for a commit.
type journal struct {
	path string
	most int64 // how much room it may take

	// These belong to the leader of a group commit.
	file   *os.File    // nil until the first frame
	size   int64       // how much room there is
	turn   uint64      // changes when the file begins anew
	used   bool        // the file may have frames of this turn, or something is loose
	end    int64       // where the next frame goes
	failed error       // why the file takes nothing more
	frame  frameBuffer // the latest one; the memory is used again
	// loose are the entries that the tables were given and which are perhaps
	// not on disk: without them, those of the next frame would leave a gap.
	loose []*stream.Entry

	// These belong to who has locked the tables.
	next int64 // where the first frame is that the tables have not

	// The numbers of the newest frame, and of the newest that the tables have.
	// Numbers never come again, not in another turn either.
	newest, imported atomic.Uint64
}

// journalFile is the journal's name inside the state directory.
const journalFile = "journal"

// journalFact is the name under which the tables keep which turn of the journal
// they go with and the number of the last frame that they have.
const (
	journalFact = "journal"
	journalForm = "%d %d"
)

const (
	// journalStep is how much room is made at a time, journalSize how much a
	// journal has at most. It grows only where journalShare times as much is
	// free, so that the tables can take what it has.
	journalStep  = 1 << 20
	journalSize  = 64 << 20
	journalShare = 4
	// maxFrame is the largest frame; what is larger costs SQLite little beside
	// its bytes. keptFrame is how much memory is kept for the next.
	maxFrame  = 8 << 20
	keptFrame = 1 << 20
	// maxLoose bounds how many entries are loose, about.
	maxLoose = 512
	// A frame begins with its sum, which is over all that follows, the length
	// of its rows, its turn and its number.
	frameHead    = 24
	frameVersion = 1
)

var (
	errNoRoom  = errors.New("there is no room in the journal")
	errNoFrame = errors.New("there is no frame of the journal")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func frameSum(frame []byte) uint32 { return crc32.Checksum(frame[4:], castagnoli) }

// behind tells whether the tables lack something. Safe for concurrent use, and
// for no journal.
func (j *journal) behind() bool { return j != nil && j.imported.Load() != j.newest.Load() }

// append makes rows durable as one frame, numbered from run and entry on, and
// what is loose with them: all or none. errNoRoom says that the journal is full,
// or the frame too large for it. After any other error it takes nothing more
// before restart.
func (j *journal) append(runs []*triggers.Run, run int64, entries []*stream.Entry, entry int64) error {
	if j.failed != nil {
		return j.failed
	}
	frame := append(j.frame[:0], make(frameBuffer, frameHead)...)
	frame = append(frame, frameVersion)
	for i, r := range runs {
		frame.row(runsTable, runColumns)
		frame.number(run + int64(i))
		runFields(&frame, r)
	}
	for _, e := range j.loose {
		frame.row(looseEntries, entryColumns)
		frame.number(e.ID)
		entryFields(&frame, e)
	}
	for i, e := range entries {
		frame.row(entriesTable, entryColumns)
		frame.number(entry + int64(i))
		entryFields(&frame, e)
	}
	if cap(frame) <= keptFrame {
		j.frame = frame
	}
	if err := j.makeRoom(len(frame)); err != nil {
		return err
	}
	j.used = true
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-frameHead))
	binary.LittleEndian.PutUint64(frame[8:], j.turn)
	binary.LittleEndian.PutUint64(frame[16:], j.newest.Load()+1)
	binary.LittleEndian.PutUint32(frame, frameSum(frame))
	_, err := j.file.WriteAt(frame, j.end)
	if err == nil {
		err = syncData(j.file)
	}
	if err != nil {
		// It must not come back as if it had been taken.
		_, _ = j.file.WriteAt(make([]byte, frameHead), j.end)
		j.failed = err
		return err
	}
	j.end += int64(len(frame))
	j.loose = nil
	j.newest.Add(1)
	return nil
}

// makeRoom makes the file, and room in it for a frame. Where the disk is full
// the journal has the room that it has.
func (j *journal) makeRoom(frame int) error {
	if frame > maxFrame || j.end+int64(frame) > j.most {
		return errNoRoom
	}
	if j.file == nil {
		f, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		dir := filepath.Dir(j.path)
		if err := errors.Join(giveToOwner(f, dir), syncDir(dir)); err != nil {
			return errors.Join(err, f.Close())
		}
		j.file, j.size, j.end = f, 0, 0
	}
	for j.end+int64(frame) > j.size {
		if free, err := freeBytes(filepath.Dir(j.path)); err != nil || free < journalShare*(j.size+journalStep) {
			return errors.Join(errNoRoom, err)
		}
		_, err := j.file.WriteAt(make([]byte, journalStep), j.size)
		if err == nil {
			err = j.file.Sync()
		}
		if err != nil {
			return errors.Join(errNoRoom, err, j.file.Truncate(j.size))
		}
		j.size += journalStep
	}
	return nil
}

func newTurn() uint64 { return rand.Uint64() } //nolint:gosec // it guards against chance, not against people

// restart begins the file anew: the tables have all that is in it, on disk, and
// know the new turn. After a failure it is another file, as nobody knows what
// the disk does to the old one. The tables must be locked.
func (j *journal) restart(turn uint64) error {
	j.end, j.next, j.turn, j.used, j.loose = 0, 0, turn, false, nil
	if j.failed == nil {
		return nil
	}
	j.failed = nil
	return j.remove()
}

// remove removes the file, if there is one.
func (j *journal) remove() error {
	if j.file == nil {
		return nil
	}
	err := errors.Join(j.file.Close(), os.Remove(j.path))
	j.file = nil
	return err
}

// close closes the file, and removes it where the tables have all of it on disk.
func (j *journal) close(all bool) error {
	if all || j.file == nil {
		return j.remove()
	}
	return j.file.Close()
}

// takeUp finds what a former server left: the frames of a turn behind the one
// with a number that the tables have.
func (j *journal) takeUp(turn, number uint64) error {
	j.newest.Store(number)
	j.imported.Store(number)
	j.turn, j.used = turn, true // an unreadable frame may have others behind it
	f, err := os.OpenFile(j.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	j.file = f
	info, err := f.Stat()
	if err != nil {
		return err
	}
	j.size = info.Size()
	for {
		frame, err := j.frameAt(j.end)
		if errors.Is(err, errNoFrame) {
			return nil
		}
		if err != nil {
			return err
		}
		j.end += frame.size
		if frame.number <= number {
			j.next = j.end
		} else {
			j.newest.Store(frame.number)
		}
	}
}

// frame is what one commit added.
type frame struct {
	number uint64
	size   int64 // in the file
	rows   []byte
}

// frameAt reads a frame; errNoFrame tells that there is none that counts.
func (j *journal) frameAt(at int64) (frame, error) {
	b := make([]byte, frameHead)
	if err := j.readAt(b, at); err != nil {
		return frame{}, err
	}
	size := binary.LittleEndian.Uint32(b[4:])
	if size == 0 || size > maxFrame-frameHead {
		return frame{}, errNoFrame
	}
	b = append(b, make([]byte, size)...)
	if err := j.readAt(b[frameHead:], at+frameHead); err != nil {
		return frame{}, err
	}
	if binary.LittleEndian.Uint32(b) != frameSum(b) || binary.LittleEndian.Uint64(b[8:]) != j.turn {
		return frame{}, errNoFrame
	}
	return frame{binary.LittleEndian.Uint64(b[16:]), int64(len(b)), b[frameHead:]}, nil
}

func (j *journal) readAt(b []byte, at int64) error {
	_, err := j.file.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		return errNoFrame
	}
	return err
}
