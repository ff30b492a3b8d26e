package openapi

import (
	"reflect"
	"strconv"

	"github.com/swaggest/openapi-go/openapi31"

	"jetstream/internal/api"
)

const (
	jsonType = "application/json"

	// badContentType is the component of invalid with HTTP status 415.
	badContentType = "badContentType"
	statusBadType  = 415
	// otherFailure is the component of every failure that is not listed.
	otherFailure = "failure"
)

// failures say when each code is answered, in the order of their statuses.
var failures = []struct { //nolint:gochecknoglobals // a table that is never written
	code api.Code
	when string
}{
	{api.CodeInvalid, "The request itself is wrong; `result.fields` names the parameters at fault."},
	{api.CodeUnauthorized, "Nobody is logged in, or the credentials are wrong."},
	{api.CodeForbidden, "Logged in, but this is not permitted."},
	{api.CodeNotFound, "There is no such object, or it is somebody else's."},
	{api.CodeConflict, "The object's present state does not allow it."},
	{api.CodeTooLarge, "The body is over 16 MiB."},
	{api.CodeTooManyRequests, "Slow down; Retry-After says for how many seconds."},
	{api.CodeInternal, "The server's fault; its log has the cause under the request id."},
	{api.CodeUnavailable, "Not now: the server is stopping, or a part that this needs is out of order."},
	{api.CodeTimeout, "It took too long."},
}

// failureResult is the result of a failed command.
type failureResult struct {
	Fields []api.FieldError `json:"fields,omitempty" doc:"The parameters at fault"`
}

// addReplies puts what all operations share into the components: the shape of
// failures, one response a code, headers and logins.
func (b *builder) addReplies() error {
	result, err := b.result(reflect.TypeFor[failureResult]())
	if err != nil {
		return err
	}
	codes := make([]any, len(failures))
	for i, f := range failures {
		codes[i] = string(f.code)
	}
	c := b.spec().ComponentsEns()
	c.WithSchemasItem("Failure", replyShape(map[string]any{"type": "string", "enum": codes, "description": "Code of the failure"},
		"", result))
	c.WithHeadersItem(api.RequestIDHeader, header("Id of the request, also in the server's log, in events and in triggers", "string"))

	for _, f := range failures {
		response := b.failure(f.when, string(f.code))
		if f.code == api.CodeTooManyRequests {
			response.WithHeadersItem("Retry-After", header("Seconds to wait before the next try", "integer"))
		}
		c.WithResponsesItem(string(f.code), openapi31.ResponseOrReference{Response: response})
	}
	c.WithResponsesItem(badContentType, openapi31.ResponseOrReference{
		Response: b.failure("The body is not announced as `application/json`.", badContentType)})
	c.WithResponsesItem(otherFailure, openapi31.ResponseOrReference{
		Response: b.failure("Any other failure, in the same shape.", "")})
	addLogins(c)
	return nil
}

// failure is a component; recorded names the reply that illustrates it.
func (b *builder) failure(when, recorded string) *openapi31.Response {
	media := openapi31.MediaType{Schema: map[string]any{"$ref": schemas + "Failure"}}
	if reply, ok := b.recorded.Failures[recorded]; ok {
		media.WithExample(reply)
	}
	return (&openapi31.Response{Description: when}).
		WithContentItem(jsonType, media).WithHeadersItem(api.RequestIDHeader, requestIDRef())
}

// replyShape is the schema of a whole reply.
func replyShape(status map[string]any, message string, result map[string]any) map[string]any {
	text := map[string]any{"type": "string", "description": "A sentence for people"}
	if message != "" {
		text["examples"] = []any{message}
	}
	return map[string]any{
		"type":       "object",
		"required":   []any{"status", "message", "result"},
		"properties": map[string]any{"status": status, "message": text, "result": result},
	}
}

// success is the response of a command that was carried out.
func success(when, message string, result map[string]any) *openapi31.Response {
	shape := replyShape(map[string]any{"type": "string", "const": string(api.CodeSuccess)}, message, result)
	return (&openapi31.Response{Description: when}).
		WithContentItem(jsonType, openapi31.MediaType{Schema: shape}).WithHeadersItem(api.RequestIDHeader, requestIDRef())
}

func header(text, kind string) openapi31.HeaderOrReference {
	return openapi31.HeaderOrReference{Header: &openapi31.Header{Description: &text, Schema: map[string]any{"type": kind}}}
}

func requestIDRef() openapi31.HeaderOrReference {
	return openapi31.HeaderOrReference{Reference: &openapi31.Reference{Ref: "#/components/headers/" + api.RequestIDHeader}}
}

// responses are the answers of one operation.
type responses struct{ *openapi31.Responses }

func newResponses() responses {
	r := responses{&openapi31.Responses{}}
	other := component(otherFailure)
	r.Default = &other
	return r
}

func (r responses) set(status int, response *openapi31.Response) {
	r.WithMapOfResponseOrReferenceValuesItem(strconv.Itoa(status), openapi31.ResponseOrReference{Response: response})
}

func (r responses) fail(codes ...api.Code) {
	for _, code := range codes {
		r.WithMapOfResponseOrReferenceValuesItem(strconv.Itoa(code.HTTPStatus()), component(string(code)))
	}
}

// failBody adds what may be wrong with a body.
func (r responses) failBody() {
	r.fail(api.CodeTooLarge)
	r.WithMapOfResponseOrReferenceValuesItem(strconv.Itoa(statusBadType), component(badContentType))
}

func component(name string) openapi31.ResponseOrReference {
	return openapi31.ResponseOrReference{Reference: &openapi31.Reference{Ref: "#/components/responses/" + name}}
}

// logins are the ways to log in, any one of which is enough.
func logins() []map[string][]string {
	return []map[string][]string{{"basic": {}}, {"bearer": {}}, {"cookie": {}}}
}

// everybody lets an operation be called without login.
func everybody() map[string][]string { return map[string][]string{} }

func addLogins(c *openapi31.Components) {
	add := func(name, text string, s openapi31.SecurityScheme) {
		s.Description = &text
		c.WithSecuritySchemesItem(name, openapi31.SecuritySchemeOrReference{SecurityScheme: &s})
	}
	add("basic", "User and password.",
		openapi31.SecurityScheme{HTTP: &openapi31.SecuritySchemeHTTP{Scheme: "basic"}})
	add("bearer", "A token. A trigger script finds its own in JETSTREAM_API_TOKEN.",
		openapi31.SecurityScheme{HTTPBearer: &openapi31.SecuritySchemeHTTPBearer{Scheme: "bearer"}})
	add("cookie", "The session of the page at `/`, made by `POST /session`, which says how the cookie's name follows the port.",
		openapi31.SecurityScheme{APIKey: &openapi31.SecuritySchemeAPIKey{Name: api.SessionCookie, In: openapi31.SecuritySchemeAPIKeyInCookie}})
}
