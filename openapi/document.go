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

	"github.com/swaggest/openapi-go/openapi31"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// Prefix is where the commands' routes begin, as the gateway mounts them.
const Prefix = "/api/v1"

// SessionCookie is the name of the page's cookie, as the middleware reads it.
const SessionCookie = "jetstream_session"

// Info is what the document says about itself.
type Info struct {
	// Version is the program's version; it must not be empty.
	Version string
}

// Document writes the document: indented JSON with sorted keys that ends in a
// newline, the same bytes for the same input. An error names the declaration
// that cannot be described.
func Document(registry *api.Registry, events []triggers.Definition, info Info) ([]byte, error) {
	if info.Version == "" {
		return nil, fmt.Errorf("openapi: the version is missing")
	}
	b := newBuilder(info)
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
	for _, e := range events {
		if err := b.addEvent(e); err != nil {
			return nil, fmt.Errorf("openapi: event %s: %w", e.Name, err)
		}
	}
	if err := b.addCommandEvent(registry); err != nil {
		return nil, err
	}
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

// The tags, one a group of commands and one for what stands beside them.
const (
	tagSend   = "send"
	tagRecv   = "recv"
	tagServer = "server"
	tagBeside = "beside"
	tagEvents = "events"
)

func tags() []openapi31.Tag {
	tag := func(name, description string) openapi31.Tag {
		return openapi31.Tag{Name: name, Description: &description}
	}
	return []openapi31.Tag{
		tag(tagSend, "Sending: destinations say where, manifests say what, transfers bring the one to the other."),
		tag(tagRecv, "Receiving: the transfers that other servers make to this one."),
		tag(tagServer, "The server itself: what it is, its users and its trigger runs. These commands have bare names."),
		tag(tagBeside, "What stands beside the commands: the envelope, the page's session, health and this document."),
		tag(tagEvents, "What happens at the server. For each event the operator may put a script of the same name into the trigger "+
			"directory; it gets the parameters as positional arguments, in the order of `x-arguments`."),
	}
}

const description = `Moves files between sites and runs the operator's scripts on everything that happens.

**Two doors.** Every command has a REST route below ` + "`/api/v1`" + ` and may as well be sent as
` + "`POST /api/v1/command`" + ` with ` + "`{\"request\": NAME, \"parameters\": {...}}`" + `. Both answer the same, with the same HTTP status.

**Replies** are always ` + "`{\"status\", \"message\", \"result\"}`" + `. ` + "`status`" + ` is ` + "`success`" + ` or the code of the failure;
` + "`message`" + ` is a sentence for people that names the fault and the way out; ` + "`result`" + ` is always an object.

**Refused**, each with the fault named: unknown parameters, wrong types, null, members named twice, bodies over 16 MiB (413), other
content types than JSON (415), methods that a path does not take (405, code ` + "`invalid`" + `). An absent parameter means its default or,
in an update, unchanged.

**Units.** Times are integer microseconds since the Unix epoch in UTC, null when not valid yet. Sizes are bytes, rates kbit/s.
Ids are 32 hex digits.

**Login** by HTTP Basic, by a token (` + "`Authorization: Bearer`" + `), or by the cookie of the page at ` + "`/`" + `. Wrong credentials are
slowed per user and per address (429 with Retry-After).

Every answer carries ` + "`X-Request-Id`" + `: the caller's own if the request had one, else a new one. It is also in logs, events and triggers.`
