package server

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"jetstream/internal/diskspace"
)

// DiskHealth is a directory of the server and the file system that it lies on.
type DiskHealth struct {
	What  string `json:"what" doc:"What lies in the directory: state or files"`
	Dir   string `json:"dir" doc:"The directory"`
	Free  int64  `json:"free" doc:"Bytes that are free" unit:"bytes"`
	Total int64  `json:"total" doc:"Bytes that there are" unit:"bytes"`
	Floor int64  `json:"floor" doc:"Bytes that must stay free: --min-free" unit:"bytes"`
	Short bool   `json:"short" doc:"Whether less is free, so that transfers that would arrive wait"`

	floor string // Floor for people
}

// fault says what is wrong with a disk that is short.
func (d DiskHealth) fault() string {
	return fmt.Sprintf("the disk: less than %s is free in %s; transfers that would arrive wait (--min-free)", d.floor, d.Dir)
}

const (
	// boxesFor is for how long a list of the users' sandboxes is used.
	boxesFor = 10 * time.Second
	// maxDisks is how many directories are measured: those of the server, then
	// those of users with sandboxes of their own.
	maxDisks = 100
)

// disks keeps the list of the sandboxes of users with one of their own.
type disks struct {
	mu    sync.Mutex
	at    time.Time
	boxes []string
}

// disksNow measures the directories that transfers are received in and that of the
// state. Several with the same space, which are taken for one file system, are shown once.
func (s *Server) disksNow(ctx context.Context) []DiskHealth {
	list := []DiskHealth{}
	measure := func(what, dir string) {
		space, err := diskspace.Of(dir)
		if err != nil || space.Total == 0 {
			return
		}
		d := DiskHealth{
			What: what, Dir: dir, Free: int64(space.Free), Total: int64(space.Total), Floor: int64(s.floor.On(space.Total)),
			Short: s.floor.Short(space), floor: s.floor.Describe(space.Total),
		}
		if what == "state" || !slices.ContainsFunc(list, func(o DiskHealth) bool { return o.What == what && o.Free == d.Free && o.Total == d.Total }) {
			list = append(list, d)
		}
	}
	measure("state", s.o.StateDir)
	measure("files", SandboxRoot(s.o.SandboxDir))
	for _, dir := range s.boxes(ctx) {
		if filepath.IsAbs(dir) {
			measure("files", dir)
		}
	}
	return list
}

// boxes lists the sandboxes of users with one of their own.
func (s *Server) boxes(ctx context.Context) []string {
	s.disks.mu.Lock()
	defer s.disks.mu.Unlock()
	if time.Since(s.disks.at) < boxesFor {
		return s.disks.boxes
	}
	boxes, err := s.accounts.OwnSandboxes(ctx, maxDisks)
	if err != nil {
		s.log.WarnContext(ctx, "the users' sandboxes could not be listed, and their disks are not looked at", "error", err)
		return s.disks.boxes
	}
	s.disks.at, s.disks.boxes = time.Now(), boxes
	return boxes
}

// diskFaults says which disks are short of space.
func diskFaults(disks []DiskHealth) (faults []string) {
	for _, d := range disks {
		if d.Short {
			faults = append(faults, d.fault())
		}
	}
	return faults
}
