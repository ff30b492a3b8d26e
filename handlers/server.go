package handlers

import (
	"context"

	"jetstream/internal/api"
	"jetstream/internal/bandwidth"
)

// Server is what commands need of the running server.
type Server interface {
	// Info returns the result of getServerInfo.
	Info(ctx context.Context) (ServerInfo, error)
	// Terminate begins a graceful stop and returns at once: pending calls, that
	// of its caller included, are still answered.
	Terminate()
	// Reload reads the settings again and applies those that may change while the
	// server runs.
	Reload(ctx context.Context) (Reloaded, error)
}

// Reloaded is the result of reload.
type Reloaded struct {
	Changed []SettingChange `json:"changed" doc:"Settings that are others than before, by name"`
}

// SettingChange is a setting that has changed.
type SettingChange struct {
	Setting      string `json:"setting" doc:"Name of the setting, as in the configuration file"`
	From         string `json:"from" doc:"Value with which the server ran"`
	To           string `json:"to" doc:"Value that it has now"`
	NeedsRestart bool   `json:"needsRestart" doc:"Whether the server goes on with the former value until it is started again"`
}

// ServerInfo is the result of getServerInfo. Callers who are not logged in get
// only Version, APIVersion and AuthRequired.
type ServerInfo struct {
	Version        string            `json:"version" doc:"Version of the program"`
	APIVersion     int               `json:"apiVersion" doc:"Version of the control API"`
	AuthRequired   bool              `json:"authRequired" doc:"Whether commands need a login; always true"`
	Revision       string            `json:"revision,omitempty" doc:"Source revision that the program was built from"`
	ServerID       string            `json:"serverId,omitempty" doc:"Id of this process, new at each start"`
	ServerUID      string            `json:"serverUid,omitempty" doc:"Id of this server, the same across restarts"`
	ServerName     string            `json:"serverName,omitempty" doc:"Name of the server"`
	HostName       string            `json:"hostName,omitempty" doc:"Name of the host it runs on"`
	APIControlPort int               `json:"apiControlPort,omitempty" doc:"Port of the control API"`
	RecvPort       int               `json:"recvPort,omitempty" doc:"Port that transfers are received on"`
	PublicKey      string            `json:"publicKey,omitempty" doc:"Public key of this server, base64url"`
	Sandbox        string            `json:"sandbox,omitempty" doc:"Directory of the server that / means in the caller's paths"`
	Bandwidth      *bandwidth.Limits `json:"bandwidthLimits,omitempty" doc:"Limits on what is sent and received together"`
	Triggers       *TriggersInfo     `json:"triggers,omitempty" doc:"State of the triggers"`
	StartTime      api.Time          `json:"startTime,omitempty" doc:"When this process started"`
}

// TriggersInfo is the state of the triggers in ServerInfo.
type TriggersInfo struct {
	Dir     string `json:"dir" doc:"Trigger directory, empty when there is none"`
	OnAPI   bool   `json:"onApi" doc:"Whether API commands fire on.* triggers"`
	Waiting int    `json:"waiting" doc:"Runs that wait in the queue"`
}

type serverHandlers struct{ server Server }

func serverCommands(d Deps) []*api.Command {
	h := serverHandlers{d.Server}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "getServerInfo", Method: "GET", Path: "/server",
			Summary: "Show what this server is and how it is set up",
			Description: "Without login only `version`, `apiVersion` and `authRequired` are answered, " +
				"so that a client can tell whether it must log in.",
			Message: "Server information.", Access: api.AccessPublic,
		}, h.get),
	}
}

type getServerInfoParams struct{}

func (h serverHandlers) get(ctx context.Context, _ getServerInfoParams) (ServerInfo, error) {
	info, err := h.server.Info(ctx)
	if err != nil {
		return ServerInfo{}, err
	}
	if _, ok := api.CallerOf(ctx); !ok {
		info = ServerInfo{Version: info.Version, APIVersion: info.APIVersion, AuthRequired: info.AuthRequired}
	}
	return info, nil
}
