package handlers

import (
	"context"
	"encoding/json"

	"jetstream/internal/api"
	"jetstream/internal/stream"
)

type eventLogHandlers struct{ log *stream.Log }

func eventLogCommands(d Deps) []*api.Command {
	h := eventLogHandlers{d.EventLog}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "getEventLog", Method: "GET", Path: "/server/event-log",
			Summary: "List the stored events, newest first",
			Description: "What the event stream has shown and still keeps: a superuser sees every event, others their own. " +
				"A page may hold fewer events than `limit`, even none, where few are asked for; `nextCursor` leads on. " +
				"Events of type `audit` are the audit log, which only superusers see.",
			Message: "Event log.",
		}, h.list),
	}
}

type getEventLogParams struct {
	api.ListParams
	Types []string `json:"types" doc:"Only events of these types, such as audit; absent for all" validate:"max=100"`
	Since int64    `json:"since" doc:"Only events written at or after this time, in microseconds since the Unix epoch; absent for all" validate:"min=0"`
}

type loggedEvent struct {
	ID   int64           `json:"id" doc:"Number of the event, +1 each, as in the event stream"`
	Type string          `json:"type" doc:"Type of the event"`
	Time api.Time        `json:"time" doc:"When it was written"`
	User string          `json:"user" doc:"User whom it concerns; empty for the server's own"`
	Data json.RawMessage `json:"data" doc:"What the event stream shows as its data"`
}

type eventList struct {
	Events []loggedEvent `json:"events" doc:"The events, newest first"`
	nextPage
}

func (h eventLogHandlers) list(ctx context.Context, p getEventLogParams) (eventList, error) {
	before, err := parseCursor(p.Cursor)
	if err != nil {
		return eventList{}, err
	}
	caller, _ := api.CallerOf(ctx)
	since := api.Time(p.Since)
	if !caller.Superuser {
		since = max(since, caller.Since)
	}
	found, next, err := h.log.Page(ctx, stream.PageQuery{
		User: caller.User, All: caller.Superuser, Types: p.Types, Since: since, Before: before, Limit: p.Limit,
	})
	list := eventList{make([]loggedEvent, 0, len(found)), pageAt(next)}
	for _, e := range found {
		list.Events = append(list.Events, loggedEvent{e.ID, e.Type, e.Time, e.User, e.Data})
	}
	return list, err
}
