package server

import (
	"cmp"
	"context"
	"time"

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
	s.collector, err = retention.New(ctx, retention.Options{
		Sent: s.engine, Received: s.receiver, Metadata: s.db, Log: s.log,
		AbandonedAfter: max(cmp.Or(s.o.RecvAbandonedAfter, abandonedAfter), 0),
	})
	return err
}

// Terminate implements handlers.Server. The gateway answers calls in
// progress before it stops.
func (s *Server) Terminate() { s.stop() }
