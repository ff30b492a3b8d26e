package openapi

import (
	"reflect"
	"strconv"

	"github.com/swaggest/openapi-go/openapi31"

	"jetstream/internal/api"
)

// addBeside adds what is no command: the envelope, the session, health and
// this document.
func (b *builder) addBeside(registry *api.Registry) error {
	for _, add := range []func() error{
		func() error { return b.addEnvelope(registry) }, b.addSession, b.addHealth, b.addSelf,
	} {
		if err := add(); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) addEnvelope(registry *api.Registry) error {
	names := make([]any, 0, len(registry.All()))
	creates := false
	for _, c := range registry.All() {
		names = append(names, c.Name)
		creates = creates || c.Status == 201
	}
	op := b.operation("command", tagBeside, "Carry out any command by its name",
		"The other way to call every command: its parameters are those of the command's own route, path parameters included, "+
			"and so are its reply and its HTTP status. Nothing is answered here without login.")
	shape := commandShape(names)
	shape["required"] = []any{"request"}
	op.RequestBody = jsonBody(shape, true)
	exampleEnvelope(op.RequestBody, registry)

	r := newResponses()
	for _, f := range failures {
		r.fail(f.code)
	}
	r.failBody()
	result := map[string]any{"type": "object", "description": "The command's result"}
	r.set(200, success("Done.", "", result))
	if creates {
		r.set(201, success("Made.", "", result).WithHeadersItem("Location", header("Path of what was made", "string")))
	}
	op.WithResponses(*r.Responses)
	return b.spec().AddOperation("POST", api.Prefix+api.EnvelopePath, *op)
}

// commandShape is the schema of a command structure, as the envelope takes it
// and as triggers get it.
func commandShape(names []any) map[string]any {
	request := map[string]any{"type": "string", "description": "Full name of the command"}
	if len(names) > 0 {
		request["enum"] = names
	}
	return map[string]any{
		"type":                 "object",
		"additionalProperties": false,
		"properties": map[string]any{
			"request":    request,
			"parameters": map[string]any{"type": "object", "description": "The command's parameters"},
		},
	}
}

// sessionParams are what POST /session takes.
type sessionParams struct {
	Name     string `json:"name" doc:"User to sign in" validate:"required"`
	Password string `json:"password" doc:"The user's password" validate:"required" secret:"true"`
}

func (b *builder) addSession() error {
	params, err := b.parameters(reflect.TypeFor[sessionParams]())
	if err != nil {
		return err
	}
	shape, err := params.ToSchemaOrBool().ToSimpleMap()
	if err != nil {
		return err
	}
	empty, err := b.result(reflect.TypeFor[api.Empty]())
	if err != nil {
		return err
	}

	open := b.operation("openSession", tagBeside, "Sign in on the page",
		"Sets the cookie `"+api.SessionCookie+"`, which script cannot read and other sites cannot make a browser send. "+
			"Another port than "+strconv.Itoa(api.ControlPort)+" in the address is a part of its name, as in `"+api.SessionCookie+"_9000`.")
	open.RequestBody = jsonBody(shape, true)
	setExample(open.RequestBody, map[string]any{"name": "alice", "password": exampleSecret})
	r := newResponses()
	r.fail(api.CodeInvalid, api.CodeUnauthorized, api.CodeForbidden, api.CodeTooManyRequests, api.CodeInternal)
	r.failBody()
	r.set(200, success("Signed in.", "Signed in.", empty).WithHeadersItem("Set-Cookie", header("The session", "string")))
	open.WithResponses(*r.Responses)
	open.Security = []map[string][]string{everybody()}
	if err := b.spec().AddOperation("POST", "/session", *open); err != nil {
		return err
	}

	end := b.operation("closeSession", tagBeside, "Sign out on the page", "Ends the session of the cookie; without one it does nothing.")
	r = newResponses()
	r.fail(api.CodeForbidden, api.CodeInternal)
	r.set(200, success("Signed out.", "Signed out.", empty).WithHeadersItem("Set-Cookie", header("Takes the cookie away", "string")))
	end.WithResponses(*r.Responses)
	end.Security = []map[string][]string{everybody()}
	return b.spec().AddOperation("DELETE", "/session", *end)
}

func (b *builder) addHealth() error {
	op := b.operation("health", tagBeside, "Tell whether the server is well",
		"For load balancers and supervisors, in a word. With `verbose` it is a reply for superusers, whose result says why; its HTTP status is the same.")
	verbose := &openapi31.Parameter{Name: "verbose", In: openapi31.ParameterInQuery, Schema: map[string]any{"type": "string"}}
	verbose.WithDescription("Given with any value, or alone, asks for the facts")
	op.Parameters = append(op.Parameters, openapi31.ParameterOrReference{Parameter: verbose})
	shape := map[string]any{"type": "object", "description": "The facts"}
	if b.health != nil {
		var err error
		if shape, err = b.result(b.health); err != nil {
			return err
		}
	}
	facts := success("", "The server is well.", shape).Content[jsonType]
	plain := func(text, example string) *openapi31.Response {
		return (&openapi31.Response{Description: text}).WithHeadersItem(api.RequestIDHeader, requestIDRef()).
			WithContentItem("text/plain", openapi31.MediaType{Schema: map[string]any{"type": "string", "examples": []any{example}}})
	}
	r := newResponses()
	r.fail(api.CodeUnauthorized, api.CodeForbidden, api.CodeTooManyRequests, api.CodeInternal)
	r.set(200, plain("It is.", "ok\n").WithContentItem(jsonType, facts))
	r.set(503, plain("It is not; superusers see why with `verbose`.", "out of order\n").
		WithContentItem(jsonType, openapi31.MediaType{Schema: replyShape(
			map[string]any{"type": "string", "const": string(api.CodeUnavailable)}, "", shape)}))
	op.WithResponses(*r.Responses)
	op.Security = append([]map[string][]string{everybody()}, logins()...)
	if err := b.spec().AddOperation("GET", "/healthz", *op); err != nil {
		return err
	}
	m := b.operation("metrics", tagBeside, "Read the server's metrics", "In the text form of Prometheus, for superusers.")
	r = newResponses()
	r.set(200, plain("The metrics.", "jetstream_trigger_queue_length 0\n"))
	r.fail(api.CodeUnauthorized, api.CodeForbidden, api.CodeTooManyRequests, api.CodeInternal)
	m.WithResponses(*r.Responses)
	return b.spec().AddOperation("GET", "/metrics", *m)
}

func (b *builder) addSelf() error {
	op := b.operation("openapi", tagBeside, "Get this document", "The page at `/docs` shows it; it needs no network.")
	r := newResponses()
	r.set(200, (&openapi31.Response{Description: "The OpenAPI 3.1 document."}).WithHeadersItem(api.RequestIDHeader, requestIDRef()).
		WithContentItem(jsonType, openapi31.MediaType{Schema: map[string]any{"type": "object"}}))
	r.set(304, (&openapi31.Response{Description: "It is as `If-None-Match` knows it."}).WithHeadersItem(api.RequestIDHeader, requestIDRef()))
	r.fail(api.CodeForbidden)
	op.WithResponses(*r.Responses)
	op.Security = []map[string][]string{everybody()}
	return b.spec().AddOperation("GET", "/openapi.json", *op)
}
