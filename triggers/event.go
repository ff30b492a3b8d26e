package triggers

import (
	"encoding/json"
	"reflect"

	"jetstream/internal/api"
)

// Definition describes an event.
type Definition struct {
	// Name is the name of the event and of the script's file.
	Name string
	// Summary says in one sentence when it happens.
	Summary string
	// Params are the positional arguments in order.
	Params []api.Field
	// ParamsType is the struct that Params was read from.
	ParamsType reflect.Type
	// FileList reports whether stdin is the file list of a transfer.
	FileList bool
}

// Kind is a declared event with parameters of type P.
type Kind[P any] struct{ Definition }

// Define declares an event. P is a struct; its fields, in order, are the
// positional arguments of the script.
func Define[P any](name, summary string) Kind[P] {
	t := reflect.TypeFor[P]()
	return Kind[P]{Definition{Name: name, Summary: summary, Params: api.Fields(t), ParamsType: t}}
}

// Event returns an occurrence of the event.
func (k Kind[P]) Event(p P, cause Cause) (Event, error) {
	b, err := api.Marshal(p)
	return Event{Definition: k.Definition, Parameters: b, Cause: cause}, err
}

// Cause is what has caused an event.
type Cause struct {
	// User is the user who has caused it: the receiving user for recv.*, the
	// owner of the object for send.*, the caller for on.*; empty for launch.
	User string
	// RequestID is the API request that has caused it, or empty.
	RequestID string
	// TransferID is the transfer it is about, or empty.
	TransferID string
	// DestinationID is the destination it is about, or empty.
	DestinationID string
	// Subject identifies the file list for Lister, or is empty.
	Subject string
	// Key identifies what the event is about: a transfer, destination or user.
	// With OrderKey, runs of the same key are executed in order.
	Key string
	// Depth is the number of trigger runs in the chain that led to the event,
	// without its own run.
	Depth int
}

// Event is an occurrence of an event. Parameters is a JSON object with the
// fields of the definition in their order.
type Event struct {
	Definition
	Parameters json.RawMessage
	Cause      Cause
	// Sample reports whether parameters or the file list are sample data.
	Sample bool
}

// UserKey returns the Key for events of API commands of a user.
func UserKey(name string) string { return "user:" + name }
