package openapi

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/swaggest/jsonschema-go"
	"github.com/swaggest/openapi-go/openapi31"

	"jetstream/internal/api"
	"jetstream/internal/stream"
	"jetstream/triggers"
)

// everyEntry is what the data of each entry of the event stream begins with.
type everyEntry struct {
	Time api.Time `json:"time" doc:"When it happened"`
	User string   `json:"user" doc:"Whose it is; of audit who called; empty for nobody's, which only superusers see"`
}

// resetEntry is the data of reset.
type resetEntry struct {
	OldestID int64 `json:"oldestId" doc:"The oldest event that is kept"`
	LastID   int64 `json:"lastId" doc:"The newest event; the stream goes on after it"`
}

// addStream adds the event stream: its operation and, as x-event-types, the
// data of every type.
func (b *builder) addStream(events []triggers.Definition, entries []stream.Definition) error {
	types := map[string]any{}
	var names []any
	var table strings.Builder
	add := func(typ, summary, note string, parts ...reflect.Type) error {
		if _, twice := types[typ]; twice {
			return fmt.Errorf("openapi: event stream type %s is declared twice", typ)
		}
		data, err := b.members(append([]reflect.Type{reflect.TypeFor[everyEntry]()}, parts...))
		if err != nil {
			return fmt.Errorf("openapi: event stream type %s: %w", typ, err)
		}
		types[typ] = map[string]any{"summary": summary, "live": note != "", "data": data}
		fmt.Fprintf(&table, "| `%s` | %s%s |\n", typ, summary, note)
		return nil
	}
	for _, e := range events {
		if err := add(e.Name, e.Summary, "", e.ParamsType, reflect.TypeFor[triggers.CauseEntry]()); err != nil {
			return err
		}
		names = append(names, e.Name)
	}
	for _, e := range entries {
		note := ""
		if e.Live {
			note = " Live only, without an id."
		}
		if err := add(e.Type, e.Summary, note, e.DataType); err != nil {
			return err
		}
		names = append(names, e.Type)
	}
	if err := add(stream.ResetType, "Events were missed that are not kept any more: look at the present state; the stream goes on from now.",
		"", reflect.TypeFor[resetEntry]()); err != nil {
		return err
	}

	op := (&openapi31.Operation{}).WithID("events").WithTags(tagBeside).WithSummary("Follow what happens").WithDescription(
		"Server-sent events. `id` is a decimal integer, +1 each, across restarts; `event` is the type; `data` is one JSON object. " +
			"Superusers see every event, others their own. An event is saved in the transaction of the change that it tells of, " +
			"and kept for seven days. Without `Last-Event-ID` the stream starts now; with it, it goes on after that id, and begins " +
			"with `reset` when that is not kept any more. A comment comes when nothing else did for 15 seconds. Whoever does not " +
			"read what comes is disconnected and may come again.\n\n| type | when |\n| --- | --- |\n" + table.String())
	op.WithMapOfAnythingItem("x-event-types", types)
	query := func(in openapi31.ParameterIn, name, text string, schema map[string]any) *openapi31.Parameter {
		p := (&openapi31.Parameter{Name: name, In: in, Schema: schema}).WithDescription(text)
		op.Parameters = append(op.Parameters, openapi31.ParameterOrReference{Parameter: p})
		return p
	}
	query(openapi31.ParameterInQuery, "types", "Only events of these types, separated by commas; absent for all",
		map[string]any{"type": "array", "items": map[string]any{"type": "string", "enum": names}}).WithExplode(false)
	query(openapi31.ParameterInQuery, "lastEventId", "The id to go on after, for clients that cannot set the header",
		map[string]any{"type": "integer", "minimum": 0})
	query(openapi31.ParameterInHeader, "Last-Event-ID", "The id to go on after; goes before `lastEventId`",
		map[string]any{"type": "integer", "minimum": 0})

	r := newResponses()
	r.fail(api.CodeInvalid, api.CodeUnauthorized, api.CodeForbidden, api.CodeTooManyRequests, api.CodeInternal, api.CodeUnavailable)
	var example any = "id: 17\nevent: launch\ndata: {\"time\":1793534400123456,\"user\":\"\",\"port\":\"8886\"}\n\n"
	r.set(200, (&openapi31.Response{Description: "The stream, until the client goes or the server stops."}).
		WithHeadersItem(api.RequestIDHeader, requestIDRef()).
		WithContentItem("text/event-stream", openapi31.MediaType{Schema: map[string]any{"type": "string"}, Example: &example}))
	op.WithResponses(*r.Responses)
	return b.spec().AddOperation("GET", api.Prefix+api.EventsPath, *op)
}

// members is the schema of one object with the members of several structs.
func (b *builder) members(parts []reflect.Type) (map[string]any, error) {
	all := map[string]any{}
	for _, part := range parts {
		schema, err := b.reflector.Reflect(reflect.New(part).Elem().Interface(), append(options(reply), jsonschema.InlineRefs)...)
		if err != nil {
			return nil, err
		}
		shape, err := schema.ToSchemaOrBool().ToSimpleMap()
		if err != nil {
			return nil, err
		}
		properties, _ := shape["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			all[name] = properties[name]
		}
	}
	return map[string]any{"type": "object", "properties": all}, nil
}
