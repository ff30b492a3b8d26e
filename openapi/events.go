package openapi

import (
	"fmt"
	"strings"

	"github.com/swaggest/openapi-go/openapi31"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// addEvent adds one event as a webhook. Nothing is sent over the network: the
// webhook's body is what the script of that name gets.
func (b *builder) addEvent(e triggers.Definition) error {
	params, err := b.parameters(e.ParamsType)
	if err != nil {
		return err
	}
	shape, err := params.ToSchemaOrBool().ToSimpleMap()
	if err != nil {
		return err
	}
	names := make([]any, len(e.Params))
	for i, f := range e.Params {
		names[i] = f.Name
	}
	shape["required"] = names
	stdin := "Standard input is empty."
	if e.FileList {
		stdin = "Standard input is the transfer's file list: a line a file, its name in the manifest, a tab, its path on the server's disk."
	}
	return b.addWebhook(e.Name, e.Summary, names, stdin, shape)
}

// addCommandEvent adds the on.<command> events as one webhook.
func (b *builder) addCommandEvent(registry *api.Registry) error {
	var commands []any
	for _, c := range registry.All() {
		commands = append(commands, c.Name)
	}
	command := commandShape(commands)
	command["required"] = []any{"request", "parameters"}
	command["description"] = "The command as it was submitted, by REST, envelope or command line; values of secret and unknown parameters are \"***\""
	names := []any{"command", "status", "message", "result"}
	shape := map[string]any{
		"type": "object", "additionalProperties": false, "required": names,
		"properties": map[string]any{
			"command": command,
			"status":  map[string]any{"type": "string", "description": "`success`, or the code of the failure"},
			"message": map[string]any{"type": "string", "description": "The message of the reply"},
			"result":  map[string]any{"type": "object", "description": "What the caller got; values of secret fields are \"***\""},
		},
	}
	return b.addWebhook("on.<command>",
		"With --trigger-on-api: a command was processed, whether it succeeded or not.", names,
		"`<command>` stands for the full name of the command, as in `on.send.createManifest`. Arguments that are objects are JSON. "+
			"Standard input is the object below.", shape)
}

func (b *builder) addWebhook(name, summary string, arguments []any, text string, shape map[string]any) error {
	spec := b.spec()
	if _, twice := spec.Webhooks[name]; twice {
		return fmt.Errorf("openapi: event %s is declared twice", name)
	}
	op := b.operation("event."+strings.NewReplacer("<", "", ">", "").Replace(name), tagEvents, summary, text)
	op.WithMapOfAnythingItem("x-arguments", arguments)
	op.RequestBody = jsonBody(shape, true)
	op.Security = []map[string][]string{everybody()}
	none := openapi31.ResponseOrReference{Response: &openapi31.Response{
		Description: "Nobody waits for the script. Its exit status is in the trigger run's record."}}
	op.WithResponses(openapi31.Responses{Default: &none})
	spec.WithWebhooksItem(name, openapi31.PathItemOrReference{PathItem: &openapi31.PathItem{Post: op}})
	return nil
}
