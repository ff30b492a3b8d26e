package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"jetstream/triggers"
)

// processes keeps which process carries out which run, in a small file of
// slots beside the database, one for each run at a time. A process means
// something only until the machine stops, so that what the kernel has taken is
// safe enough: it survives the end of the server, and a write costs
// microseconds where one of the database would slow down every short script.
// Safe for concurrent use; only the server writes.
type processes struct {
	path string

	mu    sync.Mutex
	file  *os.File // nil until the first is saved
	slots map[string]int64
	free  []int64
}

// A slot holds the run's id, the pid, its start and a checksum of these.
const (
	slotSize = 64
	slotID   = 32
	slotSum  = slotID + 16
)

func newProcesses(dir string) *processes {
	return &processes{path: filepath.Join(dir, "processes"), slots: map[string]int64{}}
}

// save notes the process of a run.
func (p *processes) save(r *triggers.Run) (err error) {
	if len(r.RunID) > slotID {
		return fmt.Errorf("run id %.64q is too long", r.RunID)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		f, err := openOwn(p.path)
		if err != nil {
			return err
		}
		p.file = f
	}
	n, ok := p.slots[r.RunID]
	if !ok {
		n = int64(len(p.slots))
		if last := len(p.free) - 1; last >= 0 {
			n, p.free = p.free[last], p.free[:last]
		}
		p.slots[r.RunID] = n
	}
	var slot [slotSize]byte
	copy(slot[:slotID], r.RunID)
	binary.LittleEndian.PutUint64(slot[slotID:], uint64(r.PID))
	binary.LittleEndian.PutUint64(slot[slotID+8:], r.PIDStart)
	binary.LittleEndian.PutUint32(slot[slotSum:], crc32.ChecksumIEEE(slot[:slotSum]))
	_, err = p.file.WriteAt(slot[:], n*slotSize)
	return err
}

// forget frees the slot of a run that has ended. What is written there stays
// until another run needs the place: nobody asks for a run that has ended.
func (p *processes) forget(runID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.slots[runID]; ok {
		delete(p.slots, runID)
		p.free = append(p.free, n)
	}
}

// fill sets the processes of runs as far as they are known.
func (p *processes) fill(runs []*triggers.Run) error {
	if len(runs) == 0 {
		return nil
	}
	f, err := os.Open(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	known := map[string][slotSize]byte{}
	for {
		var slot [slotSize]byte
		if _, err := io.ReadFull(f, slot[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return err
		}
		if binary.LittleEndian.Uint32(slot[slotSum:]) == crc32.ChecksumIEEE(slot[:slotSum]) {
			known[string(slot[:slotID])] = slot
		}
	}
	for _, r := range runs {
		var id [slotID]byte
		copy(id[:], r.RunID)
		if slot, ok := known[string(id[:])]; ok {
			r.PID = int(binary.LittleEndian.Uint64(slot[slotID:]))
			r.PIDStart = binary.LittleEndian.Uint64(slot[slotID+8:])
		}
	}
	return nil
}

func (p *processes) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}
