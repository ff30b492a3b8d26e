package handlers

import (
	"context"
	"slices"
	"sync"

	"jetstream/internal/api"
	"jetstream/triggers"
)

type triggerHandlers struct {
	engine *triggers.Engine
	events func() []triggers.Definition // see triggerQueueHandlers
}

func triggerCommands(d Deps) []*api.Command {
	h := triggerHandlers{d.Triggers, sync.OnceValue(Events)}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "getTriggerRuns", Method: "GET", Path: "/trigger-runs",
			Summary: "List the trigger runs, newest first",
			Description: "A run is queue entry, then record: one attempt to run a script for one event. " +
				"A page may hold fewer runs than `limit` where they are large; `nextCursor` leads on.",
			Message: "Trigger runs.", Access: api.AccessSuperuser,
			Example: map[string]any{"event": "recv.transferComplete", "status": "failed"},
		}, h.list),
		api.Define(api.Spec{
			Name: "getTriggerRun", Method: "GET", Path: "/trigger-runs/{runId}",
			Summary: "Show a trigger run", Message: "Trigger run.",
			Errors: []api.Code{api.CodeNotFound}, Access: api.AccessSuperuser,
		}, h.get),
	}
}

type getTriggerRunsParams struct {
	api.ListParams
	Event      string `json:"event" doc:"Only runs for this event; absent for all" validate:"max=256"`
	Status     string `json:"status" doc:"Only runs in this state; absent for all" validate:"omitempty,oneof=queued running success failed timeout cancelled interrupted"`
	TransferID string `json:"transferId" doc:"Only runs about this transfer; absent for all" validate:"max=64"`
	RunID      string `json:"runId" doc:"Only the run of this id, or those whose ids begin or end with it" validate:"omitempty,min=4,max=64"`
	Since      int64  `json:"since" doc:"Only runs queued at or after this time, in microseconds since the Unix epoch; absent for all" validate:"min=0"`
}

type triggerRunList struct {
	Runs []triggers.Run `json:"runs" doc:"The runs, newest first"`
	nextPage
}

func (h triggerHandlers) list(ctx context.Context, p getTriggerRunsParams) (triggerRunList, error) {
	before, err := parseCursor(p.Cursor)
	if err != nil {
		return triggerRunList{}, err
	}
	if err := h.checkEvent(ctx, p.Event); err != nil {
		return triggerRunList{}, err
	}
	runs, next, err := h.engine.Runs(ctx, triggers.Filter{
		Event: p.Event, Status: triggers.Status(p.Status), TransferID: p.TransferID, IDPart: p.RunID,
		Since: api.Time(p.Since), Before: before, Limit: p.Limit,
	})
	return triggerRunList{listed(runs), pageAt(next)}, err
}

// checkEvent refuses to filter by an event that does not exist. One of another
// version of the server is accepted as long as it has records.
func (h triggerHandlers) checkEvent(ctx context.Context, name string) error {
	known := eventNames(h.events())
	if name == "" || slices.Contains(known, name) {
		return nil
	}
	runs, _, err := h.engine.Runs(ctx, triggers.Filter{Event: name, Limit: 1})
	if err != nil || len(runs) > 0 {
		return err
	}
	hint := "getTriggers lists them, as does jetstream trigger list"
	if near := api.Nearest(name, known); near != "" {
		hint = "did you mean " + near + "?"
	}
	return api.InvalidField("event", "oneof", "there is no event "+api.Quote(name)+"; "+hint)
}

type getTriggerRunParams struct {
	RunID string `json:"runId" doc:"Id of the run" validate:"required,max=64"`
}

func (h triggerHandlers) get(ctx context.Context, p getTriggerRunParams) (triggers.Run, error) {
	return h.engine.Run(ctx, p.RunID)
}
