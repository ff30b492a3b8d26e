//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"jetstream/internal/api"
)

// contract is the published document, as a judge of requests and replies.
type contract struct{ doc *openapi3.T }

// contractOf reads the document that a running server publishes. Its examples
// are another test's: a fresh field must not hide what this one finds.
func contractOf(t *testing.T, l *live) contract {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(fetch(t, l.baseURL+"/openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.DisableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	closeSchemas(doc)
	return contract{doc}
}

// closeSchemas lets no object of an answer have a property that is not declared.
// The document leaves that open, so that later versions may add some.
func closeSchemas(doc *openapi3.T) {
	closed := map[*openapi3.Schema]bool{}
	var shut func(*openapi3.SchemaRef)
	shut = func(ref *openapi3.SchemaRef) {
		if ref == nil || ref.Value == nil || closed[ref.Value] {
			return
		}
		s := ref.Value
		closed[s] = true
		if len(s.Properties) > 0 && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
			no := false
			s.AdditionalProperties.Has = &no
		}
		for _, property := range s.Properties {
			shut(property)
		}
		shut(s.Items)
		shut(s.AdditionalProperties.Schema)
	}
	for _, s := range doc.Components.Schemas {
		shut(s)
	}
	content := func(r *openapi3.ResponseRef) {
		for _, media := range r.Value.Content {
			shut(media.Schema)
		}
	}
	for _, r := range doc.Components.Responses {
		content(r)
	}
	for _, item := range doc.Paths.Map() {
		for _, operation := range item.Operations() {
			for _, r := range operation.Responses.Map() {
				content(r)
			}
		}
	}
}

// exchange is one request and what came back.
type exchange struct {
	request openapi3filter.RequestValidationInput
	sent    string // for messages
	status  int
	header  http.Header
	body    []byte
	reply   api.Reply
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// send carries out operation method of the documented path, which holds
// {parameters}; actual is the same with their values and a query. text is the
// body, nil for none, of the type kind.
func (c contract) send(l *live, user, method, path, actual, kind string, text []byte) exchange {
	l.t.Helper()
	item := c.doc.Paths.Value(path)
	if item == nil || item.GetOperation(method) == nil {
		l.t.Fatalf("%s %s is not in the document", method, path)
	}
	build := func() *http.Request {
		var r io.Reader
		if text != nil {
			r = bytes.NewReader(text)
		}
		req, err := http.NewRequestWithContext(l.t.Context(), method, l.baseURL+actual, r)
		if err != nil {
			l.t.Fatal(err)
		}
		if text != nil {
			req.Header.Set("Content-Type", kind)
		}
		if user != "" {
			req.SetBasicAuth(user, l.password)
		}
		return req
	}
	request := build()
	x := exchange{sent: method + " " + actual + " " + beginning(text), request: openapi3filter.RequestValidationInput{
		Request: request, PathParams: pathValues(path, request.URL.Path),
		Route:   &routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: method, Operation: item.GetOperation(method)},
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, SkipSettingDefaults: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}}
	res, err := http.DefaultClient.Do(build())
	if err != nil {
		l.t.Fatalf("%s: %v", x.sent, err)
	}
	defer func() { _ = res.Body.Close() }()
	x.status, x.header = res.StatusCode, res.Header
	if x.body, err = io.ReadAll(res.Body); err != nil {
		l.t.Fatalf("%s: %v", x.sent, err)
	}
	if err := json.Unmarshal(x.body, &x.reply); err != nil {
		l.t.Fatalf("%s answered %d without a reply: %q", x.sent, x.status, beginning(x.body))
	}
	return x
}

func beginning(text []byte) string {
	const most = 300
	return strings.ToValidUTF8(string(text[:min(len(text), most)]), "?")
}

func pathValues(path, actual string) map[string]string {
	values := map[string]string{}
	segments := strings.Split(actual, "/")
	for i, segment := range strings.Split(path, "/") {
		if m := pathParameter.FindStringSubmatch(segment); m != nil && i < len(segments) {
			values[m[1]] = segments[i]
		}
	}
	return values
}

// holds reports whatever in the answer is not as documented: status, headers,
// or body; and what every answer has.
func (x exchange) holds(t *testing.T) {
	t.Helper()
	if x.request.Route.Operation.Responses.Status(x.status) == nil {
		t.Errorf("%s: status %d is not documented: %s", x.sent, x.status, beginning(x.body))
		return
	}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: &x.request, Status: x.status, Header: x.header, Options: x.request.Options}
	answer.SetBodyBytes(x.body)
	if err := openapi3filter.ValidateResponse(t.Context(), answer); err != nil {
		t.Errorf("%s: %d %s: %v", x.sent, x.status, beginning(x.body), err)
	}
	if x.header.Get("X-Request-Id") == "" || x.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s: headers are %v", x.sent, x.header)
	}
	if x.status == http.StatusCreated && x.header.Get("Location") == "" && x.request.Route.Operation.Responses.Status(x.status).Value.Headers["Location"] != nil {
		t.Errorf("%s: it has made something and does not say where", x.sent)
	}
	if x.status == http.StatusTooManyRequests {
		if s, err := strconv.Atoi(x.header.Get("Retry-After")); err != nil || s < 1 {
			t.Errorf("%s: Retry-After is %q", x.sent, x.header.Get("Retry-After"))
		}
	}
	if want := (x.status >= 200 && x.status < 300); want != (x.reply.Status == api.CodeSuccess) {
		t.Errorf("%s: %d with status %q", x.sent, x.status, x.reply.Status)
	}
	if x.reply.Message == "" {
		t.Errorf("%s: %d says nothing", x.sent, x.status)
	}
}

// permitted reports whether the document allows the request.
func (x exchange) permitted(t *testing.T) error {
	return openapi3filter.ValidateRequest(t.Context(), &x.request)
}

// sendCommand sends a command by its route with these parameters.
func (c contract) sendCommand(l *live, user string, command *api.Command, params map[string]any) exchange {
	l.t.Helper()
	var text []byte
	if body := restBody(command, params); body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			l.t.Fatal(err)
		}
	}
	return c.send(l, user, command.Method, api.Prefix+command.Path, restPath(command, params), "application/json", text)
}
