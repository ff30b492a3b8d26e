package server

import (
	"cmp"
	"context"
	"time"

	"jetstream/internal/diskspace"
	"jetstream/internal/files"
	"jetstream/internal/retention"
)

// abandonedAfter is the default of Options.RecvAbandonedAfter.
const abandonedAfter = 7 * 24 * time.Hour

// openUpkeep creates the file service and the garbage collector.
func (s *Server) openUpkeep(ctx context.Context) (err error) {
	if s.files, err = files.New(files.Options{Accounts: s.accounts, Receptions: s.receiver}); err != nil {
		return err
	}
	most, err := s.o.recordsMaxSize()
	if err != nil {
		return err
	}
	s.collector, err = retention.New(ctx, retention.Options{
		MaxBytes: most, Database: s.db,
		Sent: s.engine, Received: s.receiver, Metadata: s.db, Log: s.log,
		AbandonedAfter: max(cmp.Or(s.o.RecvAbandonedAfter, abandonedAfter), 0),
	})
	return err
}

// recordsMaxSize is RecordsMaxSize in bytes, 0 for no bound.
func (o *Options) recordsMaxSize() (int64, error) {
	return diskspace.ParseSize(cmp.Or(o.RecordsMaxSize, "10GiB"))
}

// Terminate implements handlers.Server. The gateway answers calls in
// progress before it stops.
func (s *Server) Terminate() { s.stop() }
