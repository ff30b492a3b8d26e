package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/triggers"
)

// Health is the body of /healthz?verbose.
type Health struct {
	Faults    []string        `json:"faults" doc:"Why the server is not well; empty when it is"`
	Notices   []string        `json:"notices" doc:"What an operator should know and what is no fault"`
	Database  string          `json:"database" doc:"ok, or why no changes can be saved"`
	Listeners ListenerHealth  `json:"listeners" doc:"Where it listens"`
	Triggers  TriggerHealth   `json:"triggers" doc:"State of the trigger queue"`
	Disks     []handlers.Disk `json:"disks" doc:"Space where the state lies and where files arrive"`
}

// ListenerHealth is where the server listens.
type ListenerHealth struct {
	API  string `json:"api" doc:"Address and port of the control API"`
	Recv string `json:"recv" doc:"Address and port that transfers are received on"`
}

// TriggerHealth is the state of the trigger queue.
type TriggerHealth struct {
	Waiting       int                           `json:"waiting" doc:"Runs that wait"`
	OldestWaiting api.Time                      `json:"oldestWaiting" doc:"When the oldest of them was queued, or null"`
	Running       []triggers.RunningScript      `json:"running" doc:"The running scripts"`
	Paused        bool                          `json:"paused" doc:"Whether the queue is paused"`
	Full          bool                          `json:"full" doc:"Whether events of commands are dropped because too many wait"`
	SaveFailing   bool                          `json:"saveFailing" doc:"Whether events or runs cannot be saved or started"`
	Dropped       map[triggers.DropReason]int64 `json:"dropped" doc:"Events dropped since the start, by reason"`
}

// crowdedFor is how long after the last eviction health names it.
const crowdedFor = 10 * time.Minute

// look checks triggers and database. saving is the error that keeps changes
// from being saved, reading the error of reading the database.
func (s *Server) look(ctx context.Context) (h triggers.Health, saving, reading error) {
	recovered, saving := s.db.Writable(ctx)
	if recovered {
		s.triggers.Recovered()
		s.log.InfoContext(ctx, "the database takes changes again")
	}
	h, reading = s.triggers.Health(ctx)
	return h, saving, reading
}

// facts implements gateway.Options.Facts.
func (s *Server) facts(ctx context.Context) (any, bool) {
	f, _ := s.health(ctx)
	return f, len(f.Faults) == 0
}

// health returns the state of the server, and more of that of the triggers.
func (s *Server) health(ctx context.Context) (Health, triggers.Health) {
	h, saving, reading := s.look(ctx)
	disks := s.disksNow(ctx)
	f := Health{
		Faults: append(append([]string{}, h.Faults()...), s.diskFaults(disks)...), Disks: shown(disks), Notices: []string{}, Database: "ok",
		Listeners: ListenerHealth{API: s.apiListener.Addr().String(), Recv: s.recvListener.Addr().String()},
		Triggers: TriggerHealth{
			Waiting: h.Waiting, OldestWaiting: h.OldestWaiting, Running: append([]triggers.RunningScript{}, h.Running...),
			Paused: h.Paused, Full: h.Full, SaveFailing: h.SaveFailing, Dropped: h.Dropped,
		},
	}
	if n, why := s.receiver.Waiting(); n > 0 {
		f.Notices = append(f.Notices, fmt.Sprintf("transfers that arrive wait for free space: %d, such as this: %s", n, why))
	}
	if n, last := s.receiver.Crowding(); n > 0 && time.Since(last) < crowdedFor {
		f.Notices = append(f.Notices, fmt.Sprintf("the receive port: more connections come than it holds, so that those without a login are closed: "+
			"%d since the start, the last at %s", n, last.UTC().Format(time.RFC3339)))
	}
	if saving != nil {
		s.log.ErrorContext(ctx, "the database takes no changes", "error", saving)
		f.Database = "it takes no changes; see the log"
		if e, ok := errors.AsType[*api.Error](saving); ok {
			f.Database = e.Message
		}
		f.Faults = append(f.Faults, "the database: "+f.Database)
	}
	if reading != nil {
		s.log.ErrorContext(ctx, "the database cannot be read", "error", reading)
		f.Database = "it cannot be read; see the log"
		f.Faults = append(f.Faults, "the database: "+f.Database)
	}
	if err := s.auditFault(); err != nil {
		f.Faults = append(f.Faults, err.Error())
	}
	return f, h
}

// healthy returns an error that names what does not work, or nil.
func (s *Server) healthy(ctx context.Context) error {
	h, saving, err := s.look(ctx)
	if faults := append(h.Faults(), s.diskFaults(s.disksNow(ctx))...); len(faults) > 0 {
		err = errors.Join(err, errors.New(strings.Join(faults, "; ")))
	}
	return errors.Join(saving, err, s.auditFault())
}
