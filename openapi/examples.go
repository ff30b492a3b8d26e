package openapi

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/swaggest/openapi-go/openapi31"

	"jetstream/internal/api"
)

// recordedReplies are replies of a real server; `make generate` records them.
//
//go:embed examples.json
var recordedReplies []byte

// recordings are the replies that illustrate the document.
type recordings struct {
	// Commands are successes, by the name of the command.
	Commands map[string]recording `json:"commands"`
	// Failures are by the name of their component.
	Failures map[string]json.RawMessage `json:"failures"`
}

type recording struct {
	Status int             `json:"status"` // HTTP status
	Reply  json.RawMessage `json:"reply"`
}

func readRecordings() (r recordings, err error) {
	if err = json.Unmarshal(recordedReplies, &r); err != nil {
		return r, fmt.Errorf("openapi: examples.json: %w", err)
	}
	return r, nil
}

// illustrate shows the recorded reply of a command where it had this status.
func (r recordings) illustrate(response *openapi31.Response, command string, status int) *openapi31.Response {
	recorded, ok := r.Commands[command]
	if !ok || recorded.Status != status {
		return response
	}
	media := response.Content[jsonType]
	media.WithExample(recorded.Reply)
	return response.WithContentItem(jsonType, media)
}

// exampleSecret stands for a secret in a request's example.
const exampleSecret = "a secret of yours"

// exampleParams are typical parameters of c, of those that in picks; nil where
// one that is required is missing, which would only mislead.
func exampleParams(c *api.Command, in func(name string) bool) map[string]any {
	example, typical := map[string]any{}, c.ExampleParams()
	for _, f := range c.Params {
		value, given := typical[f.Name]
		if f.Secret && f.Required {
			value, given = exampleSecret, true
		}
		switch {
		case !in(f.Name):
		case given:
			example[f.Name] = value
		case f.Required:
			return nil
		}
	}
	return example
}

// exampleBody shows a typical request of c whose body has these properties.
func exampleBody(body *openapi31.RequestBodyOrReference, c *api.Command, properties map[string]any) {
	example := exampleParams(c, func(name string) bool { _, in := properties[name]; return in })
	if len(example) > 0 {
		setExample(body, example)
	}
}

// exampleEnvelope shows the first creation that is for every user and has an
// example.
func exampleEnvelope(body *openapi31.RequestBodyOrReference, registry *api.Registry) {
	for _, c := range registry.All() {
		params := exampleParams(c, func(string) bool { return true })
		if c.Replayable() && c.Access != api.AccessSuperuser && len(params) > 0 {
			setExample(body, map[string]any{"request": c.Name, "parameters": params})
			return
		}
	}
}

func setExample(body *openapi31.RequestBodyOrReference, example map[string]any) {
	media := body.RequestBody.Content[jsonType]
	media.WithExample(example)
	body.RequestBody.WithContentItem(jsonType, media)
}
