package main

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"time"

	"jetstream/handlers"
	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/middleware"
	"jetstream/openapi"
	"jetstream/triggers"
)

// apiVersion is the version of the control API: raised when a client written
// for the former could be wrong.
const apiVersion = 1

// Info implements handlers.Server. It is for logged-in callers; what
// strangers see of it the handler decides.
func (s *server) Info(ctx context.Context) (handlers.ServerInfo, error) {
	info := handlers.ServerInfo{
		Version: version, Revision: s.revision, APIVersion: apiVersion, AuthRequired: true,
		ServerID: s.serverID, ServerUID: s.serverUID, ServerName: cmp.Or(s.c.ExternalAddress, s.hostName), HostName: s.hostName,
		APIControlPort: portOf(s.apiListener), RecvPort: portOf(s.recvListener), PublicKey: s.identity.PublicKey(), StartTime: s.startTime,
		Triggers: &handlers.TriggersInfo{Dir: s.c.TriggerDir, OnAPI: s.c.TriggerOnAPI},
	}
	caller, ok := api.CallerOf(ctx)
	if !ok {
		return info, nil
	}
	if caller.User != "" {
		info.Sandbox = s.accounts.SandboxDir(account.User{Name: caller.User, Sandbox: caller.Sandbox})
	}
	info.Triggers.Waiting = s.triggers.Queued()
	return info, nil
}

// portOf is the TCP port that ln has.
func portOf(ln net.Listener) int {
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// hostNames are the names that requests may address this server by.
func (s *server) hostNames() []string {
	names := append([]string{s.hostName}, s.c.APIAllowedHost...)
	if s.c.ExternalAddress != "" {
		names = append(names, s.c.ExternalAddress)
	}
	if !isIP(s.c.APIHost) {
		names = append(names, s.c.APIHost)
	}
	if s.certificate != nil {
		names = append(names, s.certificate.names()...)
	}
	return names
}

// openAPIDocument describes what this program offers; it depends on nothing
// but the declarations.
func openAPIDocument(registry *api.Registry) ([]byte, error) {
	return openapi.Document(registry, triggers.Definitions(), openapi.Info{Version: version, Stream: streamTypes()})
}

// endpoint is what <state>/endpoint.json holds while the server runs.
type endpoint struct {
	APIHost   string `json:"apiHost"`
	APIPort   int    `json:"apiPort"`
	RecvPort  int    `json:"recvPort"`
	ServerUID string `json:"serverUid"`
	PID       int    `json:"pid"`
}

const endpointFile = "endpoint.json"

// writeEndpoint tells other programs of this machine where the server is; it
// appears whole, once both ports listen, and goes at a clean stop.
func (s *server) writeEndpoint(apiHost string, apiPort, recvPort int) error {
	text, err := json.MarshalIndent(endpoint{apiHost, apiPort, recvPort, s.serverUID, os.Getpid()}, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(s.c.PersistentStateDir, endpointFile)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	s.onClose(func() error { return os.Remove(path) })
	return nil
}

// localHost is the address by which programs of this machine reach the API.
func localHost(listening string) string {
	if ip := net.ParseIP(listening); ip != nil && ip.IsUnspecified() {
		if ip.To4() == nil {
			return "::1"
		}
		return "127.0.0.1"
	}
	return listening
}

// authenticator answers the gateway's questions from the accounts.
type authenticator struct{ accounts *account.Service }

func (a authenticator) Password(ctx context.Context, name, password, remote string) (api.Caller, error) {
	u, err := a.accounts.Login(ctx, name, password, remote)
	return callerOf(u), err
}

func callerOf(u account.User) api.Caller {
	return api.Caller{User: u.Name, Superuser: u.Superuser, Sandbox: u.Sandbox, Since: u.CreateTime}
}

func (a authenticator) Token(ctx context.Context, token, actAs string) (api.Caller, error) {
	g, err := a.accounts.ByToken(ctx, token, actAs)
	return api.Caller{User: g.User, Superuser: g.Superuser, Sandbox: g.Sandbox, Since: g.Since, Scope: g.Scope, Depth: g.Depth}, err
}

func (a authenticator) Session(ctx context.Context, id string) (api.Caller, error) {
	u, err := a.accounts.BySession(ctx, id)
	return callerOf(u), err
}

func (a authenticator) Open(ctx context.Context, name, password, remote string) (string, time.Time, error) {
	u, err := a.accounts.Login(ctx, name, password, remote)
	if err != nil {
		return "", time.Time{}, err
	}
	id, expires := a.accounts.OpenSession(u)
	return id, expires, nil
}

func (a authenticator) Close(id string) { a.accounts.CloseSession(id) }

// keptReplies is the store's replays as middleware.Idempotency wants them.
type keptReplies struct{ *store.Replays }

func (k keptReplies) Begin(ctx context.Context, owner, key, command string, body []byte) (context.Context, middleware.Replay, *api.Outcome, error) {
	ctx, call, earlier, err := k.Replays.Begin(ctx, owner, key, command, body)
	if call == nil { // a nil *store.Replay would be no nil middleware.Replay
		return ctx, nil, earlier, err
	}
	return ctx, call, nil, nil
}
