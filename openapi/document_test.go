package openapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"jetstream/internal/api"
	"jetstream/openapi"
	"jetstream/triggers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type makeParams struct {
	Name     string            `json:"name" doc:"Its name" validate:"required,max=64"`
	Port     int               `json:"port" doc:"Its port" default:"8887" validate:"min=1,max=65535"`
	Rate     *int64            `json:"rate" doc:"kbit/s; 0 is no limit" validate:"omitempty,min=0"`
	Mode     string            `json:"mode" doc:"What to do" default:"overwrite" validate:"oneof=overwrite skip"`
	Level    int               `json:"level" doc:"How much" validate:"oneof=1 2 3"`
	Map      map[string]string `json:"map" doc:"From and to" validate:"required,min=1,max=10,dive,keys,required,max=20,endkeys,max=30"`
	List     []string          `json:"list" doc:"Words" validate:"max=5,unique,dive,min=2"`
	Password string            `json:"password" doc:"The password" validate:"required" secret:"true"`
	Until    api.Time          `json:"until" doc:"When it ends"`
	Ratio    float64           `json:"ratio" doc:"A share" validate:"gt=0,lt=1"`
	Loud     bool              `json:"loud" doc:"Whether it shouts" default:"true"`
	Far      string            `json:"far" doc:"Word of its own" validate:"omitempty,startswith=a.b,hexadecimal"`
}

type thing struct {
	ThingID string            `json:"thingId" doc:"Its id"`
	State   string            `json:"state" doc:"How it is" validate:"oneof=new old"`
	Token   string            `json:"token,omitempty" doc:"Shown once" secret:"true"`
	Size    *int64            `json:"size" doc:"Bytes, or null"`
	When    api.Time          `json:"when" doc:"When it was made"`
	Part    *part             `json:"part" doc:"A part, or null"`
	Extra   json.RawMessage   `json:"extra" doc:"Anything"`
	Data    map[string]string `json:"data" doc:"Of one's own"`
	Parts   []part            `json:"parts" doc:"All parts"`
}

type part struct {
	Text string `json:"text" doc:"What it says"`
}

type idParams struct {
	ThingID string `json:"thingId" doc:"Id of the thing" validate:"required"`
}

type listParams struct {
	api.ListParams
	State string `json:"state" doc:"Only those" validate:"omitempty,oneof=new old"`
}

type things struct {
	Things     []thing `json:"things" doc:"Newest first"`
	NextCursor *string `json:"nextCursor" doc:"For the next page, or null"`
}

type patchParams struct {
	ThingID string `json:"thingId" doc:"Id of the thing" validate:"required"`
	Port    *int   `json:"port" doc:"Its port" validate:"omitempty,min=1"`
}

func nothing[P, R any](context.Context, P) (R, error) { return *new(R), nil }

func sample() *api.Registry {
	return api.NewRegistry(
		api.Define(api.Spec{Name: "send.createThing", Method: "POST", Path: "/send/things", Status: 201, Summary: "Make a thing",
			Message: "Thing made.", Location: "/send/things/{thingId}", Errors: []api.Code{api.CodeConflict},
			Example: map[string]any{"name": "reel", "map": map[string]any{"/a": "/b"}}},
			nothing[makeParams, api.Result[thing]]),
		api.Define(api.Spec{Name: "send.getThings", Method: "GET", Path: "/send/things", Summary: "List things",
			Message: "Things."}, nothing[listParams, things]),
		api.Define(api.Spec{Name: "send.updateThing", Method: "PATCH", Path: "/send/things/{thingId}", Summary: "Change a thing",
			Message: "Changed.", Errors: []api.Code{api.CodeNotFound}}, nothing[patchParams, thing]),
		api.Define(api.Spec{Name: "recv.deleteThing", Method: "DELETE", Path: "/recv/things/{thingId}", Summary: "Delete a thing",
			Message: "Deleted."}, nothing[idParams, api.Empty]),
		api.Define(api.Spec{Name: "pause", Method: "POST", Path: "/things/{thingId}/pause", Summary: "Pause", Description: "All of it.",
			Access: api.AccessSuperuser}, nothing[idParams, api.Empty]),
		api.Define(api.Spec{Name: "hello", Method: "GET", Path: "/hello", Summary: "Say hello",
			Access: api.AccessPublic}, nothing[struct{}, thing]),
	)
}

// document makes and validates a document.
func document(t *testing.T, r *api.Registry) ([]byte, *openapi3.T) {
	t.Helper()
	raw, err := openapi.Document(r, triggers.Definitions(), openapi.Info{Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableSchemaFormatValidation(), openapi3.EnableMultiError()); err != nil {
		t.Fatalf("validate: %v", err)
	}
	return raw, doc
}

// at walks into the document as plain JSON; keys are separated by spaces.
func at(t *testing.T, raw []byte, path string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	for key := range strings.FieldsSeq(path) {
		m, ok := v.(map[string]any)
		if !ok || m[key] == nil {
			t.Fatalf("no %q on the way %s", key, path)
		}
		v = m[key]
	}
	return v
}

func want(t *testing.T, raw []byte, path, expected string) {
	t.Helper()
	var w any
	if err := json.Unmarshal([]byte(expected), &w); err != nil {
		t.Fatalf("%s: %v", expected, err)
	}
	if diff := cmp.Diff(w, at(t, raw, path)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestRequestBody(t *testing.T) {
	raw, _ := document(t, sample())
	body := "paths /api/v1/send/things post requestBody "
	want(t, raw, body+"required", `true`)
	schema := body + "content application/json schema "
	want(t, raw, schema+"additionalProperties", `false`)
	want(t, raw, schema+"required", `["name", "map", "password"]`)
	for name, expected := range map[string]string{
		"name":  `{"type": "string", "description": "Its name", "minLength": 1, "maxLength": 64}`,
		"port":  `{"type": "integer", "description": "Its port", "default": 8887, "minimum": 1, "maximum": 65535}`,
		"rate":  `{"type": "integer", "format": "int64", "description": "kbit/s; 0 is no limit", "minimum": 0}`,
		"mode":  `{"type": "string", "description": "What to do", "default": "overwrite", "enum": ["overwrite", "skip"]}`,
		"level": `{"type": "integer", "description": "How much", "enum": [1, 2, 3]}`,
		"map": `{"type": "object", "description": "From and to", "minProperties": 1, "maxProperties": 10,
			"propertyNames": {"minLength": 1, "maxLength": 20}, "additionalProperties": {"type": "string", "maxLength": 30}}`,
		"list":     `{"type": "array", "description": "Words", "maxItems": 5, "uniqueItems": true, "items": {"type": "string", "minLength": 2}}`,
		"password": `{"type": "string", "description": "The password", "minLength": 1, "format": "password"}`,
		"until":    `{"type": "integer", "format": "int64", "description": "When it ends; microseconds since the Unix epoch, UTC"}`,
		"ratio":    `{"type": "number", "format": "double", "description": "A share", "exclusiveMinimum": 0, "exclusiveMaximum": 1}`,
		"loud":     `{"type": "boolean", "description": "Whether it shouts", "default": true}`,
		"far":      `{"type": "string", "description": "Word of its own", "pattern": "^(0[xX])?[0-9a-fA-F]+$"}`,
	} {
		want(t, raw, schema+"properties "+name, expected)
	}
}

func TestParametersStandWhereTheGatewayLooks(t *testing.T) {
	raw, _ := document(t, sample())
	want(t, raw, "paths /api/v1/send/things get parameters", `[
		{"in": "query", "name": "limit", "required": false, "description": "How many entries to return at most",
			"schema": {"type": "integer", "default": 100, "minimum": 1, "maximum": 1000}},
		{"in": "query", "name": "cursor", "required": false,
			"description": "The nextCursor of the page before; absent for the first page", "schema": {"type": "string", "maxLength": 1024}},
		{"in": "query", "name": "state", "required": false, "description": "Only those", "schema": {"type": "string", "enum": ["new", "old"]}}]`)
	update := "paths /api/v1/send/things/{thingId} patch "
	want(t, raw, update+"parameters", `[{"in": "path", "name": "thingId", "required": true, "description": "Id of the thing",
		"example": "`+api.ExampleID+`", "schema": {"type": "string", "minLength": 1}}]`)
	want(t, raw, update+"requestBody", `{"required": false, "content": {"application/json": {"schema": {"type": "object",
		"additionalProperties": false, "properties": {"port": {"type": "integer", "minimum": 1, "description": "Its port"}}}}}}`)
	want(t, raw, "paths /api/v1/recv/things/{thingId} delete parameters", `[{"in": "path", "name": "thingId", "required": true,
		"description": "Id of the thing", "example": "`+api.ExampleID+`", "schema": {"type": "string", "minLength": 1}}]`)
	want(t, raw, "paths /api/v1/send/things post requestBody content application/json example",
		`{"name": "reel", "map": {"/a": "/b"}, "password": "a secret of yours"}`)
	want(t, raw, "paths /session post requestBody content application/json example", `{"name": "alice", "password": "a secret of yours"}`)
	if op := at(t, raw, "paths /api/v1/things/{thingId}/pause post").(map[string]any); op["requestBody"] != nil {
		t.Error("a command whose parameters are all in the path has a body")
	}
}

// TestEnvelopeHasAnExample of what everybody may make.
func TestEnvelopeHasAnExample(t *testing.T) {
	spec := api.Spec{Name: "createThing", Method: "POST", Path: "/things", Status: 201, Summary: "Make a thing",
		Example: map[string]any{"name": "reel", "map": map[string]any{"/a": "/b"}}}
	mine := spec
	mine.Name, mine.Path, spec.Access = "send.createThing", "/send/things", api.AccessSuperuser
	raw, _ := document(t, api.NewRegistry(
		api.Define(spec, nothing[makeParams, api.Empty]), api.Define(mine, nothing[makeParams, api.Empty])))
	want(t, raw, "paths /api/v1/command post requestBody content application/json example",
		`{"request": "send.createThing", "parameters": {"name": "reel", "map": {"/a": "/b"}, "password": "a secret of yours"}}`)
}

func TestReplies(t *testing.T) {
	raw, doc := document(t, sample())
	made := "paths /api/v1/send/things post responses 201 "
	want(t, raw, made+"content application/json schema", `{"type": "object", "required": ["status", "message", "result"], "properties": {
		"status": {"type": "string", "const": "success"},
		"message": {"type": "string", "description": "A sentence for people", "examples": ["Thing made."]},
		"result": {"$ref": "#/components/schemas/Thing"}}}`)
	at(t, raw, made+"headers Location")
	at(t, raw, "paths /api/v1/send/things post responses 200") // a Result may say that it was there
	want(t, raw, "components schemas Thing", `{"type": "object",
		"required": ["thingId", "state", "size", "when", "part", "extra", "data", "parts"], "properties": {
		"thingId": {"type": "string", "description": "Its id"},
		"state": {"type": "string", "description": "How it is", "enum": ["new", "old"]},
		"token": {"type": "string", "description": "Shown once"},
		"size": {"type": ["integer", "null"], "format": "int64", "description": "Bytes, or null"},
		"when": {"type": ["integer", "null"], "format": "int64", "description": "When it was made; microseconds since the Unix epoch, UTC"},
		"part": {"anyOf": [{"$ref": "#/components/schemas/Part"}, {"type": "null"}], "description": "A part, or null"},
		"extra": {"type": "object", "description": "Anything"},
		"data": {"type": "object", "description": "Of one's own", "additionalProperties": {"type": "string"}},
		"parts": {"type": "array", "description": "All parts", "items": {"$ref": "#/components/schemas/Part"}}}}`)

	get := func(path, method string) map[string]any {
		return at(t, raw, "paths "+path+" "+method+" responses").(map[string]any)
	}
	for _, c := range []struct {
		responses map[string]any
		statuses  []string
	}{
		{get("/api/v1/send/things", "post"), []string{"200", "201", "400", "401", "403", "409", "413", "415", "429", "500", "default"}},
		{get("/api/v1/send/things", "get"), []string{"200", "400", "401", "403", "429", "500", "default"}},
		{get("/api/v1/send/things/{thingId}", "patch"), []string{"200", "400", "401", "403", "404", "413", "415", "429", "500", "default"}},
	} {
		got := map[string]bool{}
		for status := range c.responses {
			got[status] = true
		}
		expected := map[string]bool{}
		for _, status := range c.statuses {
			expected[status] = true
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	}
	want(t, raw, "components schemas FieldError required", `["field", "rule", "message"]`)

	// What the server writes must pass the schemas that it publishes.
	reply := api.FailureReply(&api.Error{Code: api.CodeInvalid, Message: "no", Fields: []api.FieldError{{Field: "a", Rule: "b", Message: "c"}}})
	passes(t, doc.Components.Schemas["Failure"].Value, reply, true)
	passes(t, doc.Components.Schemas["Failure"].Value, api.Reply{Status: api.CodeSuccess, Result: json.RawMessage(`{}`)}, false)
	passes(t, doc.Components.Schemas["Thing"].Value, thing{State: "new", Extra: json.RawMessage(`{}`), Data: map[string]string{}, Parts: []part{}}, true)
	passes(t, doc.Components.Schemas["Thing"].Value, thing{State: "bad", Extra: json.RawMessage(`{}`), Data: map[string]string{}, Parts: []part{}}, false)
	passes(t, doc.Components.Schemas["Thing"].Value, thing{State: "new", Extra: json.RawMessage(`{}`), Parts: []part{}}, false)
}

func passes(t *testing.T, s *openapi3.Schema, v any, expected bool) {
	t.Helper()
	raw, err := api.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil {
		t.Fatal(err)
	}
	if err := s.VisitJSON(plain, openapi3.EnableJSONSchema2020()); (err == nil) != expected {
		t.Errorf("%s: %v", raw, err)
	}
}

func TestOperations(t *testing.T) {
	raw, doc := document(t, sample())
	op := doc.Paths.Value("/api/v1/things/{thingId}/pause").Post
	if op.OperationID != "pause" || op.Tags[0] != "Things" || op.Summary != "Pause" || op.Description != "All of it.\n\nFor superusers." {
		t.Errorf("pause is described as %+v", op)
	}
	want(t, raw, "paths /api/v1/hello get security", `[{}, {"basic": []}, {"bearer": []}, {"cookie": []}]`)
	want(t, raw, "security", `[{"basic": []}, {"bearer": []}, {"cookie": []}]`)
	if doc.Paths.Value("/api/v1/send/things").Get.Security != nil {
		t.Error("a command that needs a login has an exception from it")
	}
	want(t, raw, "paths /api/v1/command post requestBody content application/json schema properties request enum",
		`["send.createThing", "send.getThings", "send.updateThing", "recv.deleteThing", "pause", "hello"]`)
	for _, beside := range []string{"/session post", "/session delete", "/openapi.json get"} {
		want(t, raw, "paths "+beside+" security", `[{}]`)
	}
	want(t, raw, "components securitySchemes cookie name", `"`+api.SessionCookie+`"`)
}

// A noun without a chapter of its own gets one that is named after its routes.
func TestChapters(t *testing.T) {
	_, doc := document(t, sample())
	var got []string
	for _, tag := range doc.Tags {
		got = append(got, tag.Name)
	}
	want := []string{"Hello", "Receiving: things", "Sending: things", "Things", "Beside the commands", "Events for scripts"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("chapters (-want +got):\n%s", diff)
	}
}

func TestWebhooks(t *testing.T) {
	raw, doc := document(t, sample())
	if n := len(triggers.Definitions()) + 1; len(doc.Webhooks) != n {
		t.Errorf("%d webhooks, want %d", len(doc.Webhooks), n)
	}
	for _, e := range triggers.Definitions() {
		if doc.Webhooks[e.Name] == nil {
			t.Errorf("no webhook for %s", e.Name)
		}
	}
	want(t, raw, "webhooks recv.transferComplete post x-arguments", `["transfer_id", "username"]`)
	want(t, raw, "webhooks on.<command> post x-arguments", `["command", "status", "message", "result"]`)
	schema := doc.Webhooks["on.<command>"].Post.RequestBody.Value.Content["application/json"].Schema.Value
	payload := map[string]any{"command": map[string]any{"request": "hello", "parameters": map[string]any{}},
		"status": "success", "message": "Hello.", "result": map[string]any{}}
	passes(t, schema, payload, true)
	payload["command"] = `{"request": "hello", "parameters": {}}` // objects, not strings
	passes(t, schema, payload, false)
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	first, _ := document(t, sample())
	for range 20 {
		again, _ := document(t, sample())
		if !bytes.Equal(first, again) {
			t.Fatal("two documents of the same commands differ")
		}
	}
	if !bytes.HasSuffix(first, []byte("\n")) || !bytes.Contains(first, []byte("\n  \"info\": {")) {
		t.Error("the document is not indented, or does not end in a newline")
	}
}

// TestBrokenDocumentIsFound guards the other tests: a broken document must not pass.
func TestBrokenDocumentIsFound(t *testing.T) {
	good, _ := document(t, sample())
	for what, change := range map[string][2]string{
		"a type that does not exist": {`"type": "boolean"`, `"type": "truth"`},
		"a missing description":      {`"description": "Done."`, `"x": 1`},
		"a dangling reference":       {`"$ref": "#/components/schemas/Thing"`, `"$ref": "#/components/schemas/Nothing"`},
		"an undeclared login":        {`"cookie": []`, `"biscuit": []`},
		"a default out of range":     {`"default": 8887`, `"default": "many"`},
	} {
		bad := bytes.Replace(good, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(good, bad) {
			t.Fatalf("%s: nothing to change", what)
		}
		doc, err := openapi3.NewLoader().LoadFromData(bad)
		if err == nil {
			err = doc.Validate(t.Context(), openapi3.EnableSchemaFormatValidation())
		}
		if err == nil {
			t.Errorf("%s passes", what)
		}
	}
}

func TestDeclarationsThatCannotBeDescribed(t *testing.T) {
	type oddRule struct {
		Name string `json:"name" doc:"Its name" validate:"iscolor"`
	}
	type secretQuery struct {
		Password string `json:"password" doc:"It" secret:"true"`
	}
	type badDefault struct {
		Port int `json:"port" doc:"It" default:"many"`
	}
	define := func(c *api.Command) *api.Registry { return api.NewRegistry(c) }
	for want, r := range map[string]*api.Registry{
		`command odd: name: validate rule "iscolor"`: define(api.Define(api.Spec{Name: "odd", Method: "POST", Path: "/odd"}, nothing[oddRule, api.Empty])),
		"password cannot stand in a query":           define(api.Define(api.Spec{Name: "get", Method: "GET", Path: "/get"}, nothing[secretQuery, api.Empty])),
		"the default many is no JSON":                define(api.Define(api.Spec{Name: "bad", Method: "POST", Path: "/bad"}, nothing[badDefault, api.Empty])),
	} {
		if _, err := openapi.Document(r, nil, openapi.Info{Version: "1"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := openapi.Document(sample(), append(triggers.Definitions(), triggers.Launch.Definition), openapi.Info{Version: "1"}); err == nil {
		t.Error("an event that is declared twice passes")
	}
	if _, err := openapi.Document(sample(), nil, openapi.Info{}); err == nil {
		t.Error("a document without a version passes")
	}
}
