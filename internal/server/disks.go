package server

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"jetstream/handlers"
	"jetstream/internal/diskspace"
)

// disk is a Disk with its floor for people.
type disk struct {
	handlers.Disk
	floor string
}

// fault says what is wrong with a disk that is short.
func (d disk) fault() string {
	return fmt.Sprintf("the disk: less than %s is free in %s; transfers that would arrive wait (--min-free)", d.floor, d.Dir)
}

const (
	// sandboxesFor is for how long a list of the users' sandboxes is used.
	sandboxesFor = 10 * time.Second
	// diskPatience is how long the disks are waited for.
	diskPatience = 2 * time.Second
	// maxDisks is how many directories are measured: those of the server, then
	// those of users with sandboxes of their own.
	maxDisks = 100
)

// disks is what was measured last, and the list of the sandboxes of users with one of
// their own.
type disks struct {
	mu        sync.Mutex
	at        time.Time
	sandboxes []string

	measuring chan struct{} // closed when the measuring that goes on has ended; nil: none
	since     time.Time     // when it began
	last      []disk
}

// disksNow measures the directories that transfers are received in and that of the
// state. A file system that does not answer, as of a file server that is away, is not
// waited for longer than diskPatience: then what was measured last is returned.
func (s *Server) disksNow(ctx context.Context) []disk {
	d := &s.disks
	d.mu.Lock()
	if d.measuring == nil {
		sandboxes := s.sandboxes(ctx)
		ended := make(chan struct{})
		d.measuring, d.since = ended, time.Now()
		go func() {
			list := s.measureDisks(sandboxes)
			d.mu.Lock()
			defer d.mu.Unlock()
			d.last, d.measuring = list, nil
			close(ended)
		}()
	}
	ended := d.measuring
	d.mu.Unlock()
	timer := time.NewTimer(diskPatience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// silentDisk says that a file system does not answer; empty if all do.
func (s *Server) silentDisk() string {
	d := &s.disks
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.measuring == nil || time.Since(d.since) < diskPatience {
		return ""
	}
	return fmt.Sprintf("the disks: one that files are received on, or that of the state directory, has not answered since %s", d.since.UTC().Format(time.RFC3339))
}

// measureDisks measures the disks of the server and of sandboxes. Several directories with
// the same space, which are taken for one file system, are shown once.
func (s *Server) measureDisks(sandboxes []string) []disk {
	list := []disk{}
	measure := func(what, dir string) {
		space, err := diskspace.Of(dir)
		if err != nil || space.Total == 0 {
			return
		}
		d := disk{handlers.Disk{
			What: what, Dir: dir, Free: int64(space.Free), Total: int64(space.Total), Floor: int64(s.floor.On(space.Total)),
			Short: s.floor.Short(space),
		}, s.floor.Describe(space.Total)}
		if what == "state" || !slices.ContainsFunc(list, func(o disk) bool { return o.What == what && o.Free == d.Free && o.Total == d.Total }) {
			list = append(list, d)
		}
	}
	measure("state", s.o.StateDir)
	measure("files", SandboxRoot(s.o.SandboxDir))
	for _, dir := range sandboxes {
		if filepath.IsAbs(dir) {
			measure("files", dir)
		}
	}
	return list
}

// sandboxes lists the sandboxes of users with one of their own. disks.mu is held.
func (s *Server) sandboxes(ctx context.Context) []string {
	if time.Since(s.disks.at) < sandboxesFor {
		return s.disks.sandboxes
	}
	sandboxes, err := s.accounts.OwnSandboxes(ctx, maxDisks)
	if err != nil {
		s.log.WarnContext(ctx, "the users' sandboxes could not be listed, and their disks are not looked at", "error", err)
		return s.disks.sandboxes
	}
	s.disks.at, s.disks.sandboxes = time.Now(), sandboxes
	return sandboxes
}

// diskFaults says which disks are short of space, and whether one does not answer.
func (s *Server) diskFaults(disks []disk) (faults []string) {
	if silent := s.silentDisk(); silent != "" {
		faults = append(faults, silent)
	}
	for _, d := range disks {
		if d.Short {
			faults = append(faults, d.fault())
		}
	}
	return faults
}

// shown returns disks as replies have them.
func shown(disks []disk) []handlers.Disk {
	list := make([]handlers.Disk, len(disks))
	for i, d := range disks {
		list[i] = d.Disk
	}
	return list
}
