package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"jetstream/gateway"
	"jetstream/internal/api"
	"jetstream/internal/audit"
	"jetstream/internal/stream"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

// startedEntry is the data of server.started.
type startedEntry struct {
	ServerID  string `json:"serverId" doc:"Id of this process of the server, new each start"`
	ServerUID string `json:"serverUid" doc:"Id of the server, the same across restarts"`
	Version   string `json:"version" doc:"Version of the program"`
	APIPort   int    `json:"apiControlPort" doc:"Port of the control API"`
	RecvPort  int    `json:"recvPort" doc:"Port that transfers are received on"`
}

// stoppingEntry is the data of server.stopping.
type stoppingEntry struct {
	ServerID  string `json:"serverId" doc:"Id of this process of the server"`
	ServerUID string `json:"serverUid" doc:"Id of the server, the same across restarts"`
}

var (
	serverStarted = stream.Define[startedEntry]("server.started",
		"The server listens on both ports. For superusers.")
	serverStopping = stream.Define[stoppingEntry]("server.stopping",
		"The server stops; the stream ends after it. For superusers.")
)

// StreamTypes returns the types of the event stream that run no scripts.
func StreamTypes() []stream.Definition {
	return slices.Concat(
		[]stream.Definition{serverStarted.Definition, serverStopping.Definition, audit.Kind.Definition},
		transfer.StreamTypes(), triggers.StreamTypes())
}

// LoggedTypes returns the names of all event types that the event stream and the
// event log may have.
func LoggedTypes() []string {
	var types []string
	for _, d := range triggers.Definitions() {
		types = append(types, d.Name)
	}
	for _, d := range StreamTypes() {
		types = append(types, d.Type)
	}
	return types
}

// openStream opens the event log.
func (s *Server) openStream(ctx context.Context) (err error) {
	if s.stream, err = stream.New(ctx, stream.Options{Store: s.db.Entries(), Types: LoggedTypes(), Log: s.log}); err != nil {
		return err
	}
	s.db.OnRunChange(triggers.NoteRun(s.stream))
	return nil
}

// follow opens an event stream for a caller.
func (s *Server) follow(caller api.Caller, q gateway.EventQuery) (gateway.Feed, error) {
	f, err := s.stream.Follow(stream.Query{User: caller.User, All: caller.Superuser, Since: caller.Since, Types: q.Types, After: q.After})
	if err != nil {
		return nil, err // not f: a nil *Follower in the interface would not equal nil
	}
	return f, nil
}

// standing returns an identifier of an account's present state. A long-lived
// stream compares it to find out that the account has changed.
func (s *Server) standing(ctx context.Context, name string) (string, error) {
	u, err := s.accounts.User(ctx, name)
	if err != nil {
		return "", err
	}
	if u.Disabled {
		return "", api.Errorf(api.CodeUnauthorized, "user %s is disabled", u.Name)
	}
	sum := sha256.Sum256([]byte(u.Hash + " " + strconv.FormatBool(u.Superuser) + " " + strconv.FormatInt(int64(u.CreateTime), 10)))
	return hex.EncodeToString(sum[:]), nil
}

// tellStarted appends server.started to the event log.
func (s *Server) tellStarted(ctx context.Context, e Endpoint) error {
	return s.stream.Update(ctx, func(tx stream.Tx) error {
		return serverStarted.Append(s.stream, tx, "", startedEntry{s.serverID, s.serverUID, s.o.Version, e.APIPort, e.RecvPort})
	})
}

// tellStopping appends server.stopping to the event log and ends the streams.
func (s *Server) tellStopping() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := s.stream.Update(ctx, func(tx stream.Tx) error {
		return serverStopping.Append(s.stream, tx, "", stoppingEntry{s.serverID, s.serverUID})
	})
	if err != nil {
		s.log.Error("the event log does not say that the server stops", "error", err)
	}
	s.stream.Close()
}
