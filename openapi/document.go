// Package openapi writes the OpenAPI 3.1 document of the control API from the
// declared commands and events, and serves the page at /docs that shows it.
//
// Nothing is described twice: names, summaries, parameters, results and codes
// come from api.Command, the events (as webhooks) from triggers.Definition,
// and one hook translates validate tags into JSON Schema.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/swaggest/openapi-go/openapi31"

	"jetstream/internal/api"
	"jetstream/internal/stream"
	"jetstream/triggers"
)

// Info is what the document says about itself.
type Info struct {
	// Version is the program's version; it must not be empty.
	Version string
	// Stream are the entries of the event stream that are no events; with none
	// there is no event stream.
	Stream []stream.Definition
	// Health is the struct of which a value is the result of /healthz?verbose;
	// nil: an object of which nothing is known.
	Health reflect.Type
}

// Document writes the document: indented JSON with sorted keys that ends in a
// newline, the same bytes for the same input. An error names the declaration
// that cannot be described.
func Document(registry *api.Registry, events []triggers.Definition, info Info) ([]byte, error) {
	if info.Version == "" {
		return nil, fmt.Errorf("openapi: the version is missing")
	}
	b, err := newBuilder(info)
	if err != nil {
		return nil, err
	}
	if err := b.addReplies(); err != nil {
		return nil, err
	}
	for _, c := range registry.All() {
		if err := b.addCommand(c); err != nil {
			return nil, fmt.Errorf("openapi: command %s: %w", c.Name, err)
		}
	}
	if err := b.addBeside(registry); err != nil {
		return nil, err
	}
	if len(info.Stream) > 0 {
		if err := b.addStream(events, info.Stream); err != nil {
			return nil, err
		}
	}
	for _, e := range events {
		if err := b.addEvent(e); err != nil {
			return nil, fmt.Errorf("openapi: event %s: %w", e.Name, err)
		}
	}
	if err := b.addCommandEvent(registry); err != nil {
		return nil, err
	}
	b.addChapters()
	return write(b.spec())
}

// write sorts the keys by way of maps, and leaves <, > and & readable.
func write(spec *openapi31.Spec) ([]byte, error) {
	raw, err := spec.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // floats would spoil 64-bit bounds
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(tree); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	return out.Bytes(), nil
}
