package server

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

const (
	// failuresFor is how far back status counts failures.
	failuresFor = 24 * time.Hour
	// newestFailures is how many of them it shows.
	newestFailures = 3
	// statusDestinations is how many destinations it looks at, maxSilent how many it
	// names.
	statusDestinations = 1000
	maxSilent          = 10
)

// Status implements handlers.Server.
func (s *Server) Status(ctx context.Context) (handlers.ServerStatus, error) {
	health, queue := s.health(ctx)
	status := handlers.ServerStatus{
		Version: s.o.Version, Revision: s.o.Revision, HostName: s.hostName, StartTime: s.startTime, Time: api.Now(),
		Well: len(health.Faults) == 0, Faults: health.Faults, Notices: health.Notices, StateDir: s.o.StateDir,
		API: health.Listeners.API, Recv: health.Listeners.Recv, TLS: s.certificate != nil, External: s.o.ExternalAddress,
		Disks: health.Disks, Triggers: s.triggersStatus(queue),
	}
	var err error
	if status.Schema, err = s.db.SchemaVersion(ctx); err != nil {
		return status, err
	}
	if s.certificate != nil {
		expires, err := s.certificate.expires()
		if err != nil {
			return status, err
		}
		status.Certificate = &handlers.CertificateStatus{File: s.o.TLSCert, ExpiryTime: api.TimeOf(expires)}
	}
	if err := s.countTransfers(ctx, &status); err != nil {
		return status, err
	}
	if status.Failures, err = s.failures(ctx); err != nil {
		return status, err
	}
	status.Destinations, err = s.destinations(ctx)
	return status, err
}

func (s *Server) triggersStatus(h triggers.Health) handlers.TriggersStatus {
	return handlers.TriggersStatus{
		Dir: s.o.TriggerDir, Waiting: h.Waiting, OldestWaiting: h.OldestWaiting, Running: len(h.Running), Paused: h.Paused,
		Blocked: len(h.PlaceFaults) > 0 || slices.ContainsFunc(h.Running, func(r triggers.RunningScript) bool { return r.HeldUp }),
	}
}

func (s *Server) countTransfers(ctx context.Context, status *handlers.ServerStatus) error {
	totals, err := s.db.TransferTotals(ctx)
	if err != nil {
		return err
	}
	for _, t := range totals {
		switch transfer.Status(t.Status) {
		case transfer.StatusActive:
			status.Sending.Active += t.Count
		case transfer.StatusPending, transfer.StatusSuspended:
			status.Sending.Waiting += t.Count
		case transfer.StatusReceiving:
			status.Receiving.Active += t.Count
		}
	}
	waiting, _ := s.receiver.Waiting()
	status.Receiving.Waiting = int64(waiting)
	status.Receiving.Active = max(0, status.Receiving.Active-int64(waiting))
	status.Sending.Rate, status.Receiving.Rate = s.engine.Rate(), s.receiver.Rate()
	return nil
}

func (s *Server) failures(ctx context.Context) (handlers.FailuresStatus, error) {
	n, newest, err := s.db.FailuresSince(ctx, api.TimeOf(time.Now().Add(-failuresFor)), newestFailures)
	f := handlers.FailuresStatus{Sent: n.Sent, Received: n.Received, Runs: n.Runs, Newest: []handlers.RecentFailure{}}
	for _, one := range newest {
		f.Newest = append(f.Newest, handlers.RecentFailure{Kind: one.Kind, ID: one.ID, Time: one.Time, Message: one.Message})
	}
	return f, err
}

func (s *Server) destinations(ctx context.Context) (handlers.DestinationsStatus, error) {
	list, _, err := s.engine.Destinations(ctx, transfer.Page{Limit: statusDestinations})
	d := handlers.DestinationsStatus{Total: len(list), Silent: []handlers.SilentDestination{}}
	for _, one := range list {
		if one.NumTransfersQueued > 0 && one.LastErrorMessage != "" && len(d.Silent) < maxSilent {
			d.Silent = append(d.Silent, handlers.SilentDestination{
				DestinationID: one.DestinationID, Address: net.JoinHostPort(one.DestinationAddress, strconv.Itoa(one.DestinationPort)),
				Waiting: one.NumTransfersQueued, Message: one.LastErrorMessage, LastSendTime: one.LastSendTime,
			})
		}
	}
	return d, err
}
