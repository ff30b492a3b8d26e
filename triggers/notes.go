package triggers

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/stream"
)

// RunEntry is the data of the entries about a run. The parameters, which may
// be large, and the output are in its record.
type RunEntry struct {
	RunID        string   `json:"runId" doc:"Id of the run; getTriggerRun shows its record"`
	Event        string   `json:"event" doc:"Name of the event and of the script"`
	EventID      string   `json:"eventId" doc:"Id of the event, the same over all attempts"`
	Attempt      int      `json:"attempt" doc:"1 for the first run of the event"`
	Status       Status   `json:"status" doc:"queued, running, success, failed, timeout, cancelled or interrupted" validate:"oneof=queued running success failed timeout cancelled interrupted"`
	QueueTime    api.Time `json:"queueTime" doc:"When the run was queued"`
	StartTime    api.Time `json:"startTime" doc:"When the script was started, or null"`
	EndTime      api.Time `json:"endTime" doc:"When the run ended, or null"`
	ExitCode     *int     `json:"exitCode" doc:"The script's exit status, or null"`
	Signal       string   `json:"signal" doc:"Name of the signal that ended the script, or empty"`
	ErrorMessage string   `json:"errorMessage" doc:"Why the run did not succeed, or empty"`
	RequestID    string   `json:"requestId" doc:"The API request that caused the event, or empty"`
	TransferID   string   `json:"transferId" doc:"The transfer that the event is about, or empty"`
}

// OutputEntry is the data of trigger.output.
type OutputEntry struct {
	RunID        string `json:"runId" doc:"Id of the run"`
	Event        string `json:"event" doc:"Name of the event and of the script"`
	Stream       string `json:"stream" doc:"stdout or stderr" validate:"oneof=stdout stderr"`
	Text         string `json:"text" doc:"What the script wrote; a piece need not end with a line"`
	DroppedBytes int64  `json:"droppedBytes" doc:"Bytes left out before this text because they came too fast to be shown"`
}

// CauseEntry is what the entry of an event holds beside its parameters.
type CauseEntry struct {
	RequestID     string `json:"requestId,omitempty" doc:"The API request that caused it, if one did"`
	TransferID    string `json:"transferId,omitempty" doc:"The transfer that it is about, if any"`
	DestinationID string `json:"destinationId,omitempty" doc:"The destination that it is about, if any"`
}

// The entries about runs.
var (
	RunQueued = stream.Define[RunEntry]("trigger.queued",
		"A run of a script was queued.")
	RunStarted = stream.Define[RunEntry]("trigger.started",
		"A run has begun.")
	RunEnded = stream.Define[RunEntry]("trigger.ended",
		"A run has ended, or was given up before it began.")
	RunOutput = stream.DefineLive[OutputEntry]("trigger.output",
		"A running script wrote something. For superusers.")
)

// StreamTypes lists the entries about runs as they were declared.
func StreamTypes() []stream.Definition {
	return []stream.Definition{RunQueued.Definition, RunStarted.Definition, RunEnded.Definition, RunOutput.Definition}
}

// NoteRun makes the function that writes the entry about a run that has just
// been saved, in the same transaction; the store calls it for each.
func NoteRun(log *stream.Log) func(stream.Tx, *Run) error {
	return func(tx stream.Tx, r *Run) error {
		kind := RunEnded
		switch r.Status {
		case StatusQueued:
			kind = RunQueued
			if r.described != nil {
				return log.Append(tx, kind.Type, r.User, r.described)
			}
		case StatusRunning:
			kind = RunStarted
		}
		return kind.Append(log, tx, r.User, r.entry())
	}
}

// describe makes the entry of a run that is to be queued, ahead of its
// transaction, which is short where many wait for theirs. It is what api.Marshal
// makes of r.entry(), at a fraction of the cost: there is one for each event.
func (r *Run) describe() {
	b := make([]byte, 0, 384)
	text := func(name, value string) { b = api.AppendString(append(b, name...), value) }
	number := func(name string, value int64) { b = strconv.AppendInt(append(b, name...), value, 10) }
	text(`{"runId":`, r.RunID)
	text(`,"event":`, r.Event)
	text(`,"eventId":`, r.EventID)
	number(`,"attempt":`, int64(r.Attempt))
	text(`,"status":`, string(r.Status))
	number(`,"queueTime":`, int64(r.QueueTime))
	b = append(b, `,"startTime":null,"endTime":null,"exitCode":null,"signal":"","errorMessage":""`...)
	text(`,"requestId":`, r.RequestID)
	text(`,"transferId":`, r.TransferID)
	r.described = append(b, '}')
}

// entry is what an entry tells of a run.
func (r *Run) entry() RunEntry {
	return RunEntry{
		RunID: r.RunID, Event: r.Event, EventID: r.EventID, Attempt: r.Attempt, Status: r.Status,
		QueueTime: r.QueueTime, StartTime: r.StartTime, EndTime: r.EndTime, ExitCode: r.ExitCode,
		Signal: r.Signal, ErrorMessage: r.ErrorMessage, RequestID: r.RequestID, TransferID: r.TransferID,
	}
}

// logged tells whether an event has an entry of its own in the log, whether or
// not it has a script. Those of API commands have none.
func (e *Engine) logged(ev Event) bool {
	return e.o.Stream != nil && !strings.HasPrefix(ev.Name, commandPrefix)
}

// note writes the event's own entry within the transaction of its change.
func (e *Engine) note(tx Tx, ev Event) error {
	cause, err := api.Marshal(CauseEntry{ev.Cause.RequestID, ev.Cause.TransferID, ev.Cause.DestinationID})
	if err != nil {
		return err
	}
	return e.o.Stream.Append(tx, ev.Name, ev.Cause.User, joined(ev.Parameters, cause))
}

// joined is one JSON object with the members of both.
func joined(a, b json.RawMessage) json.RawMessage {
	a, b = bytes.TrimSpace(a), bytes.TrimSpace(b)
	switch {
	case len(a) <= 2:
		return b
	case len(b) <= 2:
		return a
	}
	return append(append(bytes.Clone(a[:len(a)-1]), ','), b[1:]...)
}
