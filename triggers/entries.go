package triggers

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/stream"
)

// RunEntry is the data of the entries about a run. Parameters and output, which
// may be large, are only in its record.
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

// CauseEntry is the data of the entry of an event besides its parameters.
type CauseEntry struct {
	RequestID     string `json:"requestId,omitempty" doc:"The API request that caused it, if one did"`
	TransferID    string `json:"transferId,omitempty" doc:"The transfer that it is about, if any"`
	DestinationID string `json:"destinationId,omitempty" doc:"The destination that it is about, if any"`
}

// The types of entries about runs.
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

// StreamTypes lists the types of entries about runs.
func StreamTypes() []stream.Definition {
	return []stream.Definition{RunQueued.Definition, RunStarted.Definition, RunEnded.Definition, RunOutput.Definition}
}

// NoteRun returns the function with which the store appends the entry about a
// run that it saves, in the same transaction.
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

// describe encodes the entry of a run that is about to be queued, so that it
// need not be done in the transaction. The result is equal to that of
// api.Marshal(r.entry()), but takes a fraction of the time.
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

// entry returns the data of the entry about the run.
func (r *Run) entry() RunEntry {
	return RunEntry{
		RunID: r.RunID, Event: r.Event, EventID: r.EventID, Attempt: r.Attempt, Status: r.Status,
		QueueTime: r.QueueTime, StartTime: r.StartTime, EndTime: r.EndTime, ExitCode: r.ExitCode,
		Signal: r.Signal, ErrorMessage: r.ErrorMessage, RequestID: r.RequestID, TransferID: r.TransferID,
	}
}

// hasEntry reports whether an event is appended to the event log, with or
// without a script. Events of API commands are not.
func (e *Engine) hasEntry(ev Event) bool {
	return e.o.Stream != nil && !strings.HasPrefix(ev.Name, commandPrefix)
}

// appendEntry appends the event to the event log in the transaction that causes
// it.
func (e *Engine) appendEntry(tx Tx, ev Event) error {
	cause, err := api.Marshal(CauseEntry{ev.Cause.RequestID, ev.Cause.TransferID, ev.Cause.DestinationID})
	if err != nil {
		return err
	}
	return e.o.Stream.Append(tx, ev.Name, ev.Cause.User, joined(ev.Parameters, cause))
}

// joined returns a JSON object with the members of a and b.
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
