package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"jetstream/middleware"
)

const (
	// watchdogPatience is how long the server may take to answer itself before the
	// watchdog counts it as hung: longer than a disk stalls that comes back.
	watchdogPatience = 5 * time.Minute
	// stopMargin is what the server takes at most to stop besides its scripts: the
	// API's last answers and the database's last writes.
	stopMargin = 30 * time.Second
)

// status is what systemctl status shows of a running server.
func (s *Server) status() string {
	return fmt.Sprintf("API on %s, transfers are received on %s", s.apiListener.Addr(), s.recvListener.Addr())
}

// stopTime is how long the server takes to stop at most.
func (s *Server) stopTime() time.Duration {
	l := s.triggers.Limits()
	return stopMargin + max(l.ShutdownGrace, 0) + max(l.Grace, 0)
}

// answer asks the API for the server's health, which reads the store and the state
// of the trigger queue. What it answers does not count: a full disk or a script that
// does not end is no reason to restart the server.
func (s *Server) answer(ctx context.Context) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+middleware.HealthPath, http.NoBody)
	if err != nil { // the address is wrong, not the server
		s.log.ErrorContext(ctx, "the watchdog cannot ask the server", "error", err)
		return
	}
	s.gateway.ServeHTTP(discard{http.Header{}}, r)
}

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

// Header implements http.ResponseWriter.
func (d discard) Header() http.Header { return d.header }

// WriteHeader implements http.ResponseWriter.
func (discard) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (discard) Write(b []byte) (int, error) { return len(b), nil }
