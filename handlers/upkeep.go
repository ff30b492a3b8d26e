package handlers

import (
	"context"

	"jetstream/internal/api"
	"jetstream/internal/bandwidth"
	"jetstream/internal/retention"
)

type upkeepHandlers struct {
	server    Server
	collector *retention.Collector
	link      *bandwidth.Link
}

func upkeepCommands(d Deps) []*api.Command {
	h := upkeepHandlers{d.Server, d.Collector, d.Bandwidth}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "updateGarbageCollectSettings", Method: "PATCH", Path: "/server/garbage-collection",
			Summary: "Change when old objects are removed",
			Description: "Removed are transfers `objectLifetime` after their end, at both servers, transfers that were authorized here and " +
				"never began, and manifests `objectLifetime` after they were made, unless a transfer refers to them. What a waiting " +
				"trigger run needs stays. Without parameters it shows the settings.",
			Message: "Garbage collection settings.", Access: api.AccessSuperuser,
		}, h.update),
		api.Define(api.Spec{
			Name: "garbageCollect", Method: "POST", Path: "/server/garbage-collection/run",
			Summary: "Remove old objects now",
			Message: "Garbage collected.", Access: api.AccessSuperuser,
		}, h.collect),
		api.Define(api.Spec{
			Name: "updateBandwidthLimits", Method: "PATCH", Path: "/server/bandwidth",
			Summary: "Change how much all transfers together may send and receive",
			Description: "Holds for running transfers at once, and after a restart. Limits that were given when the server was started " +
				"cannot be changed: a `conflict`. Without parameters it shows the limits.",
			Message: "Bandwidth limits.", Errors: []api.Code{api.CodeConflict}, Access: api.AccessSuperuser,
			Example: map[string]any{"outgoingRateLimit": 500000, "borrowIncomingRate": true},
		}, h.limit),
		api.Define(api.Spec{
			Name: "reload", Method: "POST", Path: "/server/reload",
			Summary: "Read the settings and the certificate again",
			Description: "Reads the server's configuration file and the files of its certificate. What may change while the server runs " +
				"holds when this answers; for the others `needsRestart` is true. If anything is wrong, all settings stay as they were.",
			Message: "The settings were read again.", Access: api.AccessSuperuser,
		}, h.reload),
		api.Define(api.Spec{
			Name: "terminate", Method: "POST", Path: "/server/terminate",
			Summary: "Stop the server",
			Description: "Answers, then stops as on SIGTERM: no new work is accepted, a running script may finish, transfers go on " +
				"where they were at the next start.",
			Message: "The server is stopping.", Access: api.AccessSuperuser,
		}, h.terminate),
	}
}

type updateCollectParams struct {
	Interval       *int64 `json:"interval" doc:"Seconds between two runs, 3600 at first; 0: only when garbageCollect is called; absent: unchanged" validate:"omitempty,min=0,max=31536000"`
	ObjectLifetime *int64 `json:"objectLifetime" doc:"Seconds that objects are kept, 172800 (48 h) at first; 0: for ever; absent: unchanged" validate:"omitempty,min=0,max=315360000"`
}

func (h upkeepHandlers) update(ctx context.Context, p updateCollectParams) (retention.State, error) {
	return h.collector.Update(ctx, p.Interval, p.ObjectLifetime)
}

type garbageCollectParams struct{}

func (h upkeepHandlers) collect(ctx context.Context, _ garbageCollectParams) (retention.Counts, error) {
	return h.collector.Run(ctx)
}

type updateBandwidthParams struct{ bandwidth.Change }

func (h upkeepHandlers) limit(ctx context.Context, p updateBandwidthParams) (bandwidth.Limits, error) {
	return h.link.Update(ctx, p.Change)
}

type reloadParams struct{}

func (h upkeepHandlers) reload(ctx context.Context, _ reloadParams) (Reloaded, error) {
	return h.server.Reload(ctx)
}

type terminateParams struct{}

func (h upkeepHandlers) terminate(context.Context, terminateParams) (api.Empty, error) {
	h.server.Terminate()
	return api.Empty{}, nil
}
