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

// exampleBody shows a typical request of c whose body has these properties;
// an example that lacks what is required would only mislead.
func exampleBody(body *openapi31.RequestBodyOrReference, c *api.Command, properties map[string]any) {
	example, typical := map[string]any{}, c.ExampleParams()
	for _, f := range c.Params {
		value, given := typical[f.Name]
		if f.Secret && f.Required {
			value, given = exampleSecret, true
		}
		switch _, inBody := properties[f.Name]; {
		case inBody && given:
			example[f.Name] = value
		case inBody && f.Required:
			return
		}
	}
	if len(example) == 0 {
		return
	}
	media := body.RequestBody.Content[jsonType]
	media.WithExample(example)
	body.RequestBody.WithContentItem(jsonType, media)
}
