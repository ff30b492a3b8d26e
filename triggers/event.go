package triggers

import (
	"encoding/json"
	"reflect"

	"jetstream/internal/api"
)

// Definition is one event as it was declared: what the doctor, the manual,
// the OpenAPI webhooks and `emit` know of it.
type Definition struct {
	// Name is the event's name and the script's file name.
	Name string
	// Summary is one sentence: when it happens.
	Summary string
	// Params are the positional arguments in order.
	Params []api.Field
	// ParamsType is the struct they were read from.
	ParamsType reflect.Type
	// FileList tells that stdin is the transfer's file list.
	FileList bool
}

// Kind is a declared event with its parameter type P: the only way to make an
// Event, so that name, parameters and their order cannot drift apart.
type Kind[P any] struct{ Definition }

// Define declares an event. P is a struct; its fields, in their order, are the
// script's positional arguments.
func Define[P any](name, summary string) Kind[P] {
	t := reflect.TypeFor[P]()
	return Kind[P]{Definition{Name: name, Summary: summary, Params: api.Fields(t), ParamsType: t}}
}

// Event makes an occurrence of the event.
func (k Kind[P]) Event(p P, cause Cause) (Event, error) {
	b, err := api.Marshal(p)
	return Event{Definition: k.Definition, Parameters: b, Cause: cause}, err
}

// Cause says what led to an event.
type Cause struct {
	// User is who caused it: the receiving user for recv.*, the owner of the
	// object for send.*, the caller for on.*; empty for launch.
	User string
	// RequestID is the API request that caused it, or empty.
	RequestID string
	// TransferID is the transfer it is about, or empty.
	TransferID string
	// DestinationID is the destination it is about, or empty.
	DestinationID string
	// Subject is the key under which a Lister finds the file list; opaque here.
	Subject string
	// Key is the lane: what must stay in order with --trigger-order key
	// (transfer, destination or user).
	Key string
	// Depth counts the trigger runs in the chain that led here, this event's
	// own run not included.
	Depth int
}

// Event is one occurrence. Parameters is a JSON object with the fields of the
// definition in their order; the positional arguments are read from it.
type Event struct {
	Definition
	Parameters json.RawMessage
	Cause      Cause
}

// UserKey is the Key of what a user did by API commands.
func UserKey(name string) string { return "user:" + name }
