// Package handlers declares the commands of the control API, one file a noun,
// each command beside the function that carries it out. Handlers check who
// may, call the engine's rooms and shape the result; they know nothing of HTTP.
package handlers

import (
	"slices"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/collect"
	"jetstream/internal/files"
	"jetstream/internal/stream"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/receiver"
	"jetstream/triggers"
)

// Deps is what the commands work on. The zero value is enough to declare them
// (for the command line and the OpenAPI document), not to call them.
type Deps struct {
	Server   Server
	Accounts *account.Service
	Triggers *triggers.Engine
	Engine   *transfer.Engine
	Receiver *receiver.Receiver
	Files    *files.Service
	// Log is what the event stream keeps.
	Log *stream.Log
	// Collector removes what has been over for long.
	Collector *collect.Collector
}

// Commands declares every command, in the order of the manual.
func Commands(d Deps) *api.Registry {
	return api.NewRegistry(slices.Concat(
		serverCommands(d),
		userCommands(d),
		tokenCommands(d),
		triggerCommands(d),
		triggerQueueCommands(d),
		destinationCommands(d),
		manifestCommands(d),
		transferCommands(d),
		receivedCommands(d),
		sourceCommands(d),
		fileCommands(d),
		eventLogCommands(d),
		upkeepCommands(d),
	)...)
}
