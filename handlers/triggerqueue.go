package handlers

import (
	"context"
	"slices"
	"strings"
	"sync"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

type triggerQueueHandlers struct {
	engine   *triggers.Engine
	received receivedTransfers
	// events returns all events, on.* last. They include those of the commands
	// declared here and are therefore made at the first use.
	events func() []triggers.Definition
}

// receivedTransfers finds a received transfer.
type receivedTransfers interface {
	Transfer(ctx context.Context, caller api.Caller, transferID string) (transfer.RecvTransfer, error)
}

func triggerQueueCommands(d Deps) []*api.Command {
	h := triggerQueueHandlers{engine: d.Triggers, received: d.Receiver, events: sync.OnceValue(Events)}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "getTriggers", Method: "GET", Path: "/triggers",
			Summary: "List the events with their scripts, and the state of the queue",
			Description: "For each event: whether the trigger directory holds a script for it, what the doctor finds at the file, " +
				"and what came of its runs. The order is the manual's; `problems` beside the list are about the directory and about files that are no event's.",
			Message: "Triggers.", Access: api.AccessSuperuser,
		}, h.list),
		api.Define(api.Spec{
			Name: "emitTrigger", Method: "POST", Path: "/triggers/{event}/emit", Status: 201, Location: "/trigger-runs/{runId}",
			Summary: "Queue the script of an event, with sample or given parameters",
			Description: "Only the script gets the event; nothing else is notified. With the `transfer_id` of a received transfer, " +
				"the script gets that transfer's file list; else an event that has one gets an empty list. " +
				"The script sees JETSTREAM_SAMPLE=1 where parameters or the list are sample data.",
			Message: "The event is queued.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict, api.CodeUnavailable}, Access: api.AccessSuperuser,
			Example: map[string]any{"event": "recv.transferComplete"},
		}, h.emit),
		api.Define(api.Spec{
			Name: "pauseTriggers", Method: "POST", Path: "/trigger-queue/pause",
			Summary:     "Start no further trigger script until resumeTriggers",
			Description: "Scripts that run go on, and events are queued as ever. The pause outlives a restart.",
			Message:     "The trigger queue is paused.", Access: api.AccessSuperuser,
		}, h.pause),
		api.Define(api.Spec{
			Name: "resumeTriggers", Method: "POST", Path: "/trigger-queue/resume",
			Summary: "End a pause of the trigger queue",
			Message: "The trigger queue goes on.", Access: api.AccessSuperuser,
		}, h.resume),
		api.Define(api.Spec{
			Name: "retryTriggerRun", Method: "POST", Path: "/trigger-runs/{runId}/retry", Status: 201, Location: "/trigger-runs/{runId}",
			Summary: "Queue another attempt at the event of a run that has ended",
			Description: "The new run goes behind all that wait, with the next attempt number and the same event id. " +
				"`conflict` while a run of that event waits or runs.",
			Message: "Another attempt is queued.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict}, Access: api.AccessSuperuser,
		}, h.retry),
		api.Define(api.Spec{
			Name: "cancelTriggerRun", Method: "POST", Path: "/trigger-runs/{runId}/cancel",
			Summary: "Cancel a trigger run that waits or runs",
			Description: "A run that waits ends at once. A running script's process group gets SIGTERM and, after --trigger-grace, SIGKILL; " +
				"the answer does not wait for that.",
			Message: "The run is cancelled.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict}, Access: api.AccessSuperuser,
		}, h.cancel),
	}
}

// Events lists the events that scripts can be written for: the declared ones
// and on.<command> for each command.
func Events() []triggers.Definition {
	events := triggers.Definitions()
	for _, name := range Commands(Deps{}).Names() {
		events = append(events, triggers.Command(name).Definition)
	}
	return events
}

type getTriggersParams struct{ api.ListParams }

type triggerList struct {
	Dir      string              `json:"dir" doc:"The trigger directory, empty when there is none"`
	Queue    triggers.QueueState `json:"queue" doc:"State of the queue"`
	Triggers []triggerShown      `json:"triggers" doc:"The events, in the order of the manual"`
	Problems []triggers.Finding  `json:"problems" doc:"What the doctor finds at the directory and at files that are no event's"`
	nextPage
}

type triggerShown struct {
	Event    string             `json:"event" doc:"Name of the event and of its script"`
	Summary  string             `json:"summary" doc:"When it happens"`
	File     string             `json:"file" doc:"Path of the script, empty when there is none"`
	Problems []triggers.Finding `json:"problems" doc:"What the doctor finds at the file"`
	Runs     triggerCounts      `json:"runs" doc:"What came of the runs whose records are kept"`
	LastRun  *triggerRunShort   `json:"lastRun" doc:"The newest run that has ended, or null"`
}

type triggerCounts struct {
	Success     int `json:"success" doc:"Runs that succeeded"`
	Failed      int `json:"failed" doc:"Runs that failed"`
	Timeout     int `json:"timeout" doc:"Runs that took too long"`
	Cancelled   int `json:"cancelled" doc:"Runs that were cancelled"`
	Interrupted int `json:"interrupted" doc:"Runs that a stop of the server ended"`
}

type triggerRunShort struct {
	RunID        string          `json:"runId" doc:"Id of the run"`
	Status       triggers.Status `json:"status" doc:"How it ended" validate:"oneof=success failed timeout cancelled interrupted"`
	EndTime      api.Time        `json:"endTime" doc:"When it ended"`
	ErrorMessage string          `json:"errorMessage" doc:"Why it did not succeed, or empty"`
}

func (h triggerQueueHandlers) list(ctx context.Context, p getTriggersParams) (triggerList, error) {
	from, err := parseCursor(p.Cursor)
	if err != nil {
		return triggerList{}, err
	}
	events := h.events()
	page := events[min(int(from), len(events)):]
	page = page[:min(p.Limit, len(page))]
	scripts, others, err := h.engine.Scripts(ctx, page, eventNames(events))
	if err != nil {
		return triggerList{}, err
	}
	list := triggerList{Dir: h.engine.Dir(), Triggers: make([]triggerShown, 0, len(scripts)), Problems: append([]triggers.Finding{}, others...)}
	for _, s := range scripts {
		shown := triggerShown{
			Event: s.Definition.Name, Summary: s.Definition.Summary, File: s.File, Problems: append([]triggers.Finding{}, s.Problems...),
			Runs: triggerCounts{
				Success: s.Ended[triggers.StatusSuccess], Failed: s.Ended[triggers.StatusFailed], Timeout: s.Ended[triggers.StatusTimeout],
				Cancelled: s.Ended[triggers.StatusCancelled], Interrupted: s.Ended[triggers.StatusInterrupted],
			},
		}
		if r := s.LastRun; r != nil {
			shown.LastRun = &triggerRunShort{RunID: r.RunID, Status: r.Status, EndTime: r.EndTime, ErrorMessage: r.ErrorMessage}
		}
		list.Triggers = append(list.Triggers, shown)
	}
	if next := from + int64(len(page)); len(page) > 0 && next < int64(len(events)) {
		list.nextPage = pageAt(next)
	}
	list.Queue, err = h.engine.QueueState(ctx)
	return list, err
}

func eventNames(events []triggers.Definition) []string {
	names := make([]string, len(events))
	for i, d := range events {
		names[i] = d.Name
	}
	return names
}

type emitTriggerParams struct {
	Event      string         `json:"event" doc:"Name of the event" validate:"required,max=256"`
	Parameters map[string]any `json:"parameters" doc:"Parameters of the event by name; those that are absent get sample values"`
}

func (h triggerQueueHandlers) emit(ctx context.Context, p emitTriggerParams) (triggers.Run, error) {
	events := h.events()
	i := slices.IndexFunc(events, func(d triggers.Definition) bool { return d.Name == p.Event })
	if i < 0 {
		message := ""
		if near := api.Nearest(p.Event, eventNames(events)); near != "" {
			message = "; did you mean " + near + "?"
		}
		return triggers.Run{}, api.Errorf(api.CodeNotFound, "there is no event %q%s", p.Event, message)
	}
	parameters, sampled, err := events[i].Sample(p.Parameters)
	if err != nil {
		return triggers.Run{}, err
	}
	cause, err := h.causeOf(ctx, p)
	if err != nil {
		return triggers.Run{}, err
	}
	return h.engine.EmitNow(ctx, triggers.Event{Definition: events[i], Parameters: parameters, Cause: cause,
		Sample: sampled || events[i].FileList && cause.Subject == ""})
}

// causeOf makes the cause of an emitted event: with the key that a real event
// would have and, for a received transfer, the file list.
func (h triggerQueueHandlers) causeOf(ctx context.Context, p emitTriggerParams) (triggers.Cause, error) {
	caller, _ := api.CallerOf(ctx)
	cause := triggers.Cause{User: caller.User, RequestID: caller.RequestID, Depth: caller.Depth, Key: p.Event}
	if strings.HasPrefix(p.Event, "on.") {
		cause.Key = triggers.UserKey(caller.User)
	}
	id, ok := p.Parameters["transfer_id"].(string)
	if !ok || id == "" {
		return cause, nil
	}
	cause.TransferID, cause.Key = id, id
	if !strings.HasPrefix(p.Event, "recv.") {
		return cause, nil
	}
	t, err := h.received.Transfer(ctx, caller, id)
	switch {
	case err == nil:
		cause.Subject = transfer.RecvSubject(t.SourcePublicKey, t.TransferID)
		cause.Key = cause.Subject
	case api.ErrorOf(err).Code != api.CodeNotFound:
		return cause, err
	}
	return cause, nil
}

type triggerQueueParams struct{}

func (h triggerQueueHandlers) pause(ctx context.Context, _ triggerQueueParams) (triggers.QueueState, error) {
	if err := h.engine.Pause(ctx); err != nil {
		return triggers.QueueState{}, err
	}
	return h.engine.QueueState(ctx)
}

func (h triggerQueueHandlers) resume(ctx context.Context, _ triggerQueueParams) (triggers.QueueState, error) {
	if err := h.engine.Resume(ctx); err != nil {
		return triggers.QueueState{}, err
	}
	return h.engine.QueueState(ctx)
}

func (h triggerQueueHandlers) retry(ctx context.Context, p getTriggerRunParams) (triggers.Run, error) {
	return h.engine.Retry(ctx, p.RunID)
}

func (h triggerQueueHandlers) cancel(ctx context.Context, p getTriggerRunParams) (api.Result[triggers.Run], error) {
	caller, _ := api.CallerOf(ctx)
	by := caller.User
	if by == "" {
		by = "a launch script"
	}
	r, err := h.engine.Cancel(ctx, p.RunID, by)
	out := api.Result[triggers.Run]{Value: r}
	if r.Status == triggers.StatusRunning {
		out.Message = "The script is being ended."
	}
	return out, err
}
