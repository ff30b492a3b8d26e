package server

import (
	"context"

	"jetstream/internal/collect"
	"jetstream/internal/files"
)

// openUpkeep makes what works on files and on what is over.
func (s *Server) openUpkeep(ctx context.Context) (err error) {
	if s.files, err = files.New(files.Options{Accounts: s.accounts, Receptions: s.receiver}); err != nil {
		return err
	}
	s.collector, err = collect.New(ctx, collect.Options{Sent: s.engine, Received: s.receiver, Facts: s.db, Log: s.log})
	return err
}

// Terminate implements handlers.Server. The gateway answers the calls that are
// under way before it is done.
func (s *Server) Terminate() { s.stop() }
