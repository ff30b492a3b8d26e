// Package handlers declares the commands of the control API: one file per noun,
// each command beside the function that handles it. A handler passes the caller
// and the parameters to a domain package and shapes the result. Handlers know
// nothing of HTTP.
package handlers

import (
	"slices"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/bandwidth"
	"jetstream/internal/files"
	"jetstream/internal/retention"
	"jetstream/internal/stream"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/receiver"
	"jetstream/internal/transfer/sender"
	"jetstream/triggers"
)

// Deps are the services that the commands call. With the zero value the
// commands can be declared, as the command line and the OpenAPI document do,
// but not called.
type Deps struct {
	Server   Server
	Accounts *account.Service
	Triggers *triggers.Engine
	Engine   *transfer.Engine
	Receiver *receiver.Receiver
	Sender   *sender.Sender
	Files    *files.Service
	// EventLog holds the stored events.
	EventLog *stream.Log
	// Bandwidth keeps the limits of all transfers together.
	Bandwidth *bandwidth.Link
	// Collector removes old objects.
	Collector *retention.Collector
}

// Commands returns the declarations of all commands, in the order of the
// manual.
func Commands(d Deps) *api.Registry {
	return api.NewRegistry(slices.Concat(
		serverCommands(d),
		userCommands(d),
		tokenCommands(d),
		triggerCommands(d),
		triggerQueueCommands(d),
		destinationCommands(d),
		connectionCommands(d),
		manifestCommands(d),
		transferCommands(d),
		receivedCommands(d),
		sourceCommands(d),
		fileCommands(d),
		eventLogCommands(d),
		upkeepCommands(d),
	)...)
}
