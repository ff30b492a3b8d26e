package openapi

import (
	"errors"
	"fmt"

	"github.com/swaggest/jsonschema-go"
	"github.com/swaggest/openapi-go/openapi31"

	"jetstream/internal/api"
)

// addCommand adds the REST route of one command.
func (b *builder) addCommand(c *api.Command) error {
	params, err := b.parameters(c.ParamsType)
	if err != nil {
		return err
	}
	op := b.operation(c.Name, chapterOf(c), c.Summary, commandText(c))
	hasBody, err := addParameters(op, c, params)
	if err != nil {
		return err
	}
	result, err := b.result(c.ResultType)
	if err != nil {
		return err
	}

	r := newResponses()
	r.fail(api.CodeInvalid, api.CodeUnauthorized, api.CodeForbidden, api.CodeTooManyRequests, api.CodeInternal)
	r.fail(c.Errors...)
	if c.Replayable() {
		op.Parameters = append(op.Parameters, idempotencyKey())
		r.fail(api.CodeConflict)
	}
	if hasBody {
		r.failBody()
	}
	done := b.recorded.illustrate(success(statusText(c.Status), c.Message, result), c.Name, c.Status)
	if c.Status == 201 && c.Location != "" {
		done.WithHeadersItem("Location", header("Path of what was made", "string"))
	}
	r.set(c.Status, done)
	if c.Status == 201 && c.Varies {
		r.set(200, b.recorded.illustrate(
			success("Nothing was made: the message says why.", "", result), c.Name, 200))
	}
	op.WithResponses(*r.Responses)

	switch c.Access {
	case api.AccessPublic:
		op.Security = append([]map[string][]string{everybody()}, logins()...)
	case api.AccessSuperuser:
		op.WithMapOfAnythingItem("x-access", "superuser")
	case api.AccessUser:
	}
	op.WithMapOfAnythingItem("x-permission", string(c.Needs())) // what a token must have
	return b.spec().AddOperation(c.Method, api.Prefix+c.Path, *op)
}

// idempotencyKey is the header that makes a creation safe to repeat.
func idempotencyKey() openapi31.ParameterOrReference {
	p := &openapi31.Parameter{Name: api.IdempotencyHeader, In: openapi31.ParameterInHeader,
		Schema: map[string]any{"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}}
	p.WithDescription("Names this creation, so that it can be repeated when the answer was lost: for 24 hours the same key, user, " +
		"command and parameters, by REST or envelope, get the first answer again (with `" + api.ReplayedHeader + ": true`) and nothing is made " +
		"twice. With other parameters, and while the first call is still being carried out, it is a `conflict`. A failure is not " +
		"kept: the key is free again.")
	return openapi31.ParameterOrReference{Parameter: p}
}

func (b *builder) operation(id, tag, summary, text string) *openapi31.Operation {
	b.chapters[tag] = true
	op := (&openapi31.Operation{}).WithID(id).WithTags(tag).WithSummary(summary)
	if text != "" {
		op.WithDescription(text)
	}
	return op
}

func commandText(c *api.Command) string {
	text := c.Description
	add := func(s string) {
		if text != "" {
			text += "\n\n"
		}
		text += s
	}
	switch c.Access {
	case api.AccessPublic:
		add("May be called without login.")
	case api.AccessSuperuser:
		add("For superusers.")
	case api.AccessUser:
	}
	return text
}

func statusText(status int) string {
	switch status {
	case 201:
		return "Made."
	case 202:
		return "Accepted; the work goes on in the background."
	}
	return "Done."
}

// addParameters puts each parameter where the gateway looks for it: path
// parameters into the path, those of GET and DELETE into the query, the rest
// into the JSON body.
func addParameters(op *openapi31.Operation, c *api.Command, params *jsonschema.Schema) (hasBody bool, err error) {
	body := map[string]any{}
	var required []any
	needed := false // the body, also where one of two parameters is required
	examples := c.ExampleParams()
	for _, f := range c.Params {
		example, given := examples[f.Name]
		m, err := parameterSchema(f, params)
		if err != nil {
			return false, fmt.Errorf("parameter %s: %w", f.Name, err)
		}
		switch {
		case f.InPath:
			op.Parameters = append(op.Parameters, parameter(openapi31.ParameterInPath, f, m, example, given))
		case c.Method == "GET" || c.Method == "DELETE":
			if f.Secret || f.Kind == api.KindMap {
				return false, fmt.Errorf("parameter %s cannot stand in a query; use another method than %s", f.Name, c.Method)
			}
			op.Parameters = append(op.Parameters, parameter(openapi31.ParameterInQuery, f, m, example, given))
		default:
			body[f.Name] = m
			if f.Required {
				required = append(required, f.Name)
			}
			needed = needed || f.Required || f.OneRequired
		}
	}
	if len(body) == 0 {
		return false, nil
	}
	shape := map[string]any{"type": "object", "additionalProperties": false, "properties": body}
	if required != nil {
		shape["required"] = required
	}
	op.RequestBody = jsonBody(shape, needed)
	exampleBody(op.RequestBody, c, body)
	return true, nil
}

// parameterSchema takes the schema of f out of that of the struct, where one in
// base64 has none of its own.
func parameterSchema(f api.Field, params *jsonschema.Schema) (map[string]any, error) {
	inBase64 := map[string]any{"type": "string", "contentEncoding": "base64"}
	switch {
	case f.Base64 && f.Kind == api.KindMap:
		return map[string]any{"type": "object", "additionalProperties": inBase64, "description": f.Doc}, nil
	case f.Base64:
		inBase64["description"] = f.Doc
		return inBase64, nil
	}
	schema, ok := params.Properties[f.Name]
	if !ok {
		return nil, errors.New("it has no schema")
	}
	return schema.ToSimpleMap()
}

func jsonBody(shape map[string]any, required bool) *openapi31.RequestBodyOrReference {
	content := (&openapi31.RequestBody{}).WithContentItem(jsonType, openapi31.MediaType{Schema: shape}).WithRequired(required)
	return &openapi31.RequestBodyOrReference{RequestBody: content}
}

func parameter(in openapi31.ParameterIn, f api.Field, schema map[string]any, example any, given bool) openapi31.ParameterOrReference {
	delete(schema, "description") // it is the parameter's own
	p := &openapi31.Parameter{Name: f.Name, In: in, Schema: schema}
	p.WithDescription(f.Doc).WithRequired(f.Required || f.InPath)
	if given {
		p.WithExample(example)
	}
	return openapi31.ParameterOrReference{Parameter: p}
}
