//go:build unix

package main

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"jetstream/gateway"
	"jetstream/handlers"
	"jetstream/internal/api"
)

// TestRepliesAreAsDocumented holds real requests and replies of every command,
// and of what stands beside them, against the document that the server publishes.
func TestRepliesAreAsDocumented(t *testing.T) {
	p := newPair(t)
	p.from.script("send.destinationCreated", "#!/bin/sh\nexit 0\n")
	doc, err := openapi3.NewLoader().LoadFromData(fetch(t, p.from.baseURL+"/openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range handlers.Commands(handlers.Deps{}).All() {
		t.Run(c.Name, func(t *testing.T) {
			f := fixtures[c.Name]
			at := p.from
			if f.recv {
				at = p.to
			}
			at.t, p.from.t, p.to.t = t, t, t
			if f.user == "" {
				f.user = "alice"
			}
			op := doc.Paths.Value(gateway.Prefix + c.Path).GetOperation(c.Method)

			params := f.params(p, 0)
			if op.RequestBody != nil {
				fits(t, "request", op.RequestBody.Value.Content["application/json"].Schema, restBody(c, params))
			}
			status, reply := at.rest(f.user, c.Method, restPath(c, params), restBody(c, params))
			if reply.Status != api.CodeSuccess {
				t.Fatalf("%d %s %s", status, reply.Status, reply.Message)
			}
			replyFits(t, op, status, reply)

			status, reply = at.rest(f.user, c.Method, restPath(c, map[string]any{})+"?noSuchThing=1", nil)
			if status != 400 {
				t.Errorf("an unknown parameter: %d %s", status, reply.Message)
			}
			replyFits(t, op, status, reply)
			if c.Access != api.AccessPublic {
				status, reply = at.rest("", c.Method, restPath(c, map[string]any{}), nil)
				replyFits(t, op, status, reply)
			}
		})
	}

	p.from.t = t
	for _, body := range []map[string]any{{"name": "alice", "password": "wrong"}, {"name": "alice"}} {
		status, reply := p.from.rest("", "POST", "/session", body)
		replyFits(t, doc.Paths.Value("/session").Post, status, reply)
	}
}

// replyFits holds that op documents this status with this shape.
func replyFits(t *testing.T, op *openapi3.Operation, status int, reply api.Reply) {
	t.Helper()
	response := op.Responses.Status(status)
	if response == nil {
		t.Errorf("status %d is not documented", status)
		return
	}
	fits(t, reply.Message, response.Value.Content["application/json"].Schema, reply)
}

func fits(t *testing.T, what string, schema *openapi3.SchemaRef, v any) {
	t.Helper()
	if err := schema.Value.VisitJSON(jsonValue(t, v), openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}
