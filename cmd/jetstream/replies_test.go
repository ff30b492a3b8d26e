//go:build unix

package main

import (
	"slices"
	"testing"

	"jetstream/handlers"
	"jetstream/internal/api"
)

// TestRepliesAreAsDocumented holds real requests and replies of every command,
// successes and failures, and of what stands beside them, against the document
// that the server publishes. The successes are the document's examples.
func TestRepliesAreAsDocumented(t *testing.T) {
	p := newPair(t)
	p.from.script("send.destinationCreated", "#!/bin/sh\nexit 0\n")
	c := contractOf(t, p.from)
	rec := newRecording(t)
	for _, command := range handlers.Commands(handlers.Deps{}).All() {
		t.Run(command.Name, func(t *testing.T) {
			f := fixtureOf(t, command.Name)
			at := f.server(p)
			p.from.t, p.to.t = t, t
			x := c.sendCommand(at, f.user, command, f.params(p, 0))
			if err := x.permitted(t); err != nil {
				t.Errorf("the document does not allow %s: %v", x.sent, err)
			}
			if x.reply.Status != api.CodeSuccess {
				t.Fatalf("%s: %d %s", x.sent, x.status, x.body)
			}
			x.holds(t)
			rec.success(t, p, command, x, f.varies)
			if f.after != nil {
				f.after(p)
			}
			c.checkFailures(t, at, command, f)
		})
	}
	p.from.t, p.to.t = t, t
	for body, status := range map[string]int{`{"name": "alice", "password": "` + testPassword + `"}`: 200, `{"name": "alice", "password": "a-wrong-guess"}`: 401, `{"name": "alice"}`: 400} {
		x := c.send(p.from, "", "POST", "/session", "/session", "application/json", []byte(body))
		if x.status != status {
			t.Errorf("%s: %d %s", x.sent, x.status, x.body)
		}
		x.holds(t)
	}
	c.send(p.from, "", "DELETE", "/session", "/session", "", nil).holds(t)
	rec.failures(t, p, c)
	rec.finish(t)
}

// checkFailures makes a command fail in every way that needs no state.
func (c contract) checkFailures(t *testing.T, at *live, command *api.Command, f fixture) {
	t.Helper()
	refused := func(x exchange, statuses ...int) {
		t.Helper()
		if !slices.Contains(statuses, x.status) {
			t.Errorf("%s: %d %s, want one of %d", x.sent, x.status, x.body, statuses)
		}
		x.holds(t)
	}
	path := restPath(command, map[string]any{})
	documented := "/api/v1" + command.Path
	refused(c.send(at, f.user, command.Method, documented, path+"?noSuchThing=1", "", nil), 400)
	if command.Access != api.AccessPublic {
		refused(c.send(at, "", command.Method, documented, path, "", nil), 401)
	}
	if command.Access == api.AccessSuperuser {
		refused(c.send(at, "alice", command.Method, documented, path, "", nil), 403)
	}
	if body := restBody(command, map[string]any{}); body != nil && len(command.Params) > 0 && hasBodyParameter(command) {
		refused(c.send(at, f.user, command.Method, documented, path, "text/plain", []byte("{}")), 415)
		refused(c.send(at, f.user, command.Method, documented, path, "application/json", []byte(`{"no JSON`)), 400)
	}
	// An id of nothing, with all else as in the manual.
	if params := command.ExampleParams(); len(params) > 0 && slices.ContainsFunc(command.Params, func(p api.Field) bool {
		return p.InPath && params[p.Name] == api.ExampleID
	}) {
		refused(c.sendCommand(at, f.user, command, params), 404)
	}
}

func hasBodyParameter(c *api.Command) bool {
	return slices.ContainsFunc(c.Params, func(p api.Field) bool { return !p.InPath })
}
