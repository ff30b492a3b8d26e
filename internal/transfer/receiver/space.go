package receiver

import (
	"errors"
	"fmt"
	"path"

	"jetstream/internal/api"
	"jetstream/internal/diskspace"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

const (
	// lookEvery is after how many bytes of data a session measures the free space
	// again: by so much it can get below Options.MinFree.
	lookEvery = 8 << 20
	// mostSlack is how much must be free above Options.MinFree before a transfer
	// goes on that may need less than it announces.
	mostSlack = 64 << 20
)

// noRoom is the error of a transfer that waits until there is free space again. Its
// message is shown at both ends.
type noRoom struct{ message string }

func (e *noRoom) Error() string { return e.message }

func noRoomf(format string, args ...any) error {
	return &noRoom{"the transfer waits: " + fmt.Sprintf(format, args...)}
}

// spaceDir is the directory whose file system the part files are on.
func (s *session) spaceDir() string { return s.box.Absolute(path.Dir(s.row.Staging)) }

// checkFloor returns a *noRoom if less is free than Options.MinFree, where the files
// arrive or where the state lies.
func (s *session) checkFloor() error {
	floor := s.r.o.MinFree
	if floor == (diskspace.Floor{}) {
		return nil
	}
	if space, err := diskspace.Of(s.spaceDir()); err == nil && floor.Short(space) {
		return noRoomf("the receiver has less than %s free in %s", floor.Describe(space.Total), api.Quote(s.row.DestinationPath))
	}
	if s.r.o.StateDir == "" {
		return nil
	}
	if space, err := diskspace.Of(s.r.o.StateDir); err == nil && floor.Short(space) {
		return noRoomf("the receiver has less than %s free in its state directory", floor.Describe(space.Total))
	}
	return nil
}

// checkSpace returns an error if the data that have not arrived yet have no room: a
// *noRoom if they may have some later. Holes in the files take no room. A transfer whose files
// may be there already must only have some.
func (s *session) checkSpace(o wire.Open) error {
	if err := s.checkFloor(); err != nil {
		return err
	}
	left := o.DataBytes + s.row.Grown - s.row.BytesReceived - s.in.partial.Offset
	space, err := diskspace.Of(s.spaceDir())
	if err != nil || space.Total == 0 || left <= 0 {
		return nil //nolint:nilerr // what cannot be written fails then
	}
	need, floor := uint64(left), s.r.o.MinFree.On(space.Total)
	if transfer.MaySkip(s.row.Conflict) {
		need = min(need, floor/4, mostSlack)
	}
	where := api.Quote(s.row.DestinationPath)
	switch {
	case need+floor <= space.Free:
		return nil
	case floor == 0 || need+floor > space.Total:
		return failf(nil, "the receiver's disk has no room for the transfer: it needs %d bytes in %s, and %d are free; free some space and send again",
			left, where, space.Free-min(floor, space.Free))
	}
	return noRoomf("it needs %s in %s, and the receiver has %s free, of which %s stay free",
		diskspace.Size(need), where, diskspace.Size(space.Free), s.r.o.MinFree.Describe(space.Total))
}

// spend counts bytes that are about to be written, and measures the free space now and
// then.
func (s *session) spend(bytes int) error {
	if s.spent.Add(int64(bytes)) < lookEvery {
		return nil
	}
	s.spent.Store(0)
	return s.checkFloor()
}

// fullAs returns the error of a session whose disk became full: a *noRoom if less is
// free than Options.MinFree.
func (s *session) fullAs(err error) error {
	if s.box == nil || !isFull(err) {
		return err
	}
	if short, ok := errors.AsType[*noRoom](s.checkFloor()); ok {
		return short
	}
	return err
}
