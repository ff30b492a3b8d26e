package server

import (
	"cmp"
	"context"
	"os"
	"reflect"

	"jetstream/handlers"
	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/bandwidth"
	"jetstream/openapi"
	"jetstream/triggers"
)

// apiVersion is the version of the control API: raised with every
// change that can break a client written for the version before.
const apiVersion = 1

// Info implements handlers.Server. The handler removes the fields that callers
// without a login must not see.
func (s *Server) Info(ctx context.Context) (handlers.ServerInfo, error) {
	endpoint := s.Endpoint()
	info := handlers.ServerInfo{
		Version: s.o.Version, Revision: s.o.Revision, APIVersion: apiVersion, AuthRequired: true,
		ServerID: s.serverID, ServerUID: s.serverUID, ServerName: cmp.Or(s.o.ExternalAddress, s.hostName), HostName: s.hostName,
		APIControlPort: endpoint.APIPort, RecvPort: endpoint.RecvPort, PublicKey: s.identity.PublicKey(), StartTime: s.startTime,
		Bandwidth: s.bandwidth(),
		Triggers:  &handlers.TriggersInfo{Dir: s.o.TriggerDir, OnAPI: s.o.TriggerOnAPI},
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

func (s *Server) bandwidth() *bandwidth.Limits {
	limits := s.link.Limits()
	return &limits
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// hostNames returns the names that the Host header of a request may have.
func (s *Server) hostNames() []string {
	names := append([]string{s.hostName}, s.o.APIAllowedHosts...)
	if s.o.ExternalAddress != "" {
		names = append(names, s.o.ExternalAddress)
	}
	if !isIP(s.o.APIHost) {
		names = append(names, s.o.APIHost)
	}
	if s.certificate != nil {
		names = append(names, s.certificate.names()...)
	}
	return names
}

func document(registry *api.Registry, version string) ([]byte, error) {
	return openapi.Document(registry, triggers.Definitions(), openapi.Info{Version: version, Stream: StreamTypes(), Health: reflect.TypeFor[Health]()})
}
