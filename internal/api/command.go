package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Access defines who may call a command.
type Access int

// The levels of access.
const (
	AccessUser      Access = iota // everybody who is logged in; ownership is checked per object
	AccessSuperuser               // superusers only
	AccessPublic                  // everybody, also without login
)

// Spec describes a command.
type Spec struct {
	// Name is the full command name, such as send.createManifest.
	Name string
	// Method and Path are the REST route below /api/v1; {name} in Path is a
	// parameter of that name.
	Method, Path string
	// Status is the HTTP status of success; 0 is 200.
	Status int
	// Summary is one line without a period: the operation's title and the
	// CLI's help. Description may say more, in Markdown.
	Summary, Description string
	// Message is the message of a successful reply, unless the handler returns
	// a Result with another one.
	Message string
	// Location is the path of the object that a reply with status 201 has made;
	// {field} is replaced by that field of the result.
	Location string
	// Errors are the error codes of the command besides invalid, unauthorized,
	// forbidden and internal, which every command may return.
	Errors []Code
	// Access defines who may call it; the zero value is every logged-in user.
	Access Access
	// Example holds parameters of a typical call for the manual and the help,
	// without secrets and without the ids for which ExampleID is used.
	Example map[string]any
}

// Result is returned by handlers whose message or status differs from call to
// call, in place of the bare value.
type Result[T any] struct {
	Value T
	// Message replaces Spec.Message unless empty.
	Message string
	// Existing reports that nothing was made: the status is 200, not
	// Spec.Status.
	Existing bool
}

func (r Result[T]) varied() (any, string, bool) { return r.Value, r.Message, r.Existing }
func (Result[T]) valueType() reflect.Type       { return reflect.TypeFor[T]() }

type varying interface {
	varied() (value any, message string, existing bool)
	valueType() reflect.Type
}

// Empty is the result of commands without a result: {}.
type Empty struct{}

// Command is one declared command. It is immutable and safe for concurrent use.
type Command struct {
	Spec
	// ParamsType and ResultType are struct types.
	ParamsType, ResultType reflect.Type
	// Params are the parameters in the order of their declaration.
	Params []Field
	// Varies reports that the handler returns a Result: with status 201 the
	// command may also reply 200 with an object that existed already.
	Varies bool
	// Waits reports that the command takes WaitParams and may last that long.
	Waits bool

	results      []Field
	hasSecretOut bool
	run          func(ctx context.Context, params any) (any, error)
}

// Define declares a command that fn handles: P is the struct of its parameters,
// R the struct of its result or a Result of that. It panics on a contradictory
// declaration, so that every test of the registry finds it.
func Define[P, R any](spec Spec, fn func(context.Context, P) (R, error)) *Command {
	c := &Command{Spec: spec, ParamsType: reflect.TypeFor[P](), ResultType: reflect.TypeFor[R]()}
	if v, ok := any(*new(R)).(varying); ok {
		c.ResultType, c.Varies = v.valueType(), true
	}
	if c.Status == 0 {
		c.Status = 200
	}
	c.Params = withBase64(Fields(c.ParamsType), c.ParamsType)
	c.results = Fields(c.ResultType)
	if f, embeds := c.ParamsType.FieldByName("WaitParams"); embeds {
		c.Waits = f.Type == reflect.TypeFor[WaitParams]()
	}
	for i := range c.Params {
		c.Params[i].InPath = strings.Contains(spec.Path, "{"+c.Params[i].Name+"}")
	}
	for _, f := range c.results {
		c.hasSecretOut = c.hasSecretOut || f.Secret
	}
	if strings.Count(spec.Path, "{") != len(c.pathParams()) {
		panic(fmt.Sprintf("command %s: path %s names a parameter that %s has not", spec.Name, spec.Path, c.ParamsType))
	}
	for name := range c.Example {
		if f, known := c.Param(name); !known || f.Secret {
			panic(fmt.Sprintf("command %s: its example names %s, which is no parameter or a secret", spec.Name, name))
		}
	}
	c.run = func(ctx context.Context, params any) (any, error) {
		p, ok := params.(*P)
		if !ok {
			p = new(params.(P))
		}
		r, err := fn(ctx, *p)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	return c
}

func (c *Command) pathParams() []Field {
	var out []Field
	for _, f := range c.Params {
		if f.InPath {
			out = append(out, f)
		}
	}
	return out
}

// Param returns the parameter of that exact name.
func (c *Command) Param(name string) (Field, bool) {
	for i := range c.Params { // a Field is large
		if c.Params[i].Name == name {
			return c.Params[i], true
		}
	}
	return Field{}, false
}

// ExampleID is the id in examples.
const ExampleID = "019ab2f4c6d87e1fa3b40596c7d8e9f0"

// ExampleParams returns the parameters of a typical call: those of
// Spec.Example, and ExampleID for each required id that it does not contain.
// Required secrets are missing.
func (c *Command) ExampleParams() map[string]any {
	params := make(map[string]any, len(c.Params))
	for _, f := range c.Params {
		if v, given := c.Example[f.Name]; given {
			params[f.Name] = v
		} else if f.Required && strings.HasSuffix(f.Name, "Id") {
			params[f.Name] = ExampleID
		}
	}
	return params
}

// Replayable reports whether the command accepts an Idempotency-Key: it makes
// something, and its reply contains no secret and may therefore be stored.
func (c *Command) Replayable() bool { return c.Status == 201 && !c.hasSecretOut }

// BareName returns the name without the prefix send. or recv.
func (c *Command) BareName() string {
	return c.Name[strings.LastIndexByte(c.Name, '.')+1:]
}

// Group returns "send", "recv" or "server".
func (c *Command) Group() string {
	if i := strings.IndexByte(c.Name, '.'); i > 0 {
		return c.Name[:i]
	}
	return "server"
}

// Outcome is the encoded reply of a successful command.
type Outcome struct {
	Message string
	Status  int             // HTTP status
	Result  json.RawMessage // always an object
	// Masked is Result with "***" in place of the values of secret fields, for
	// logs and triggers. Without secret fields it shares the bytes of Result.
	Masked json.RawMessage
	// Location is the path of the object that was made, below /api/v1, or
	// empty.
	Location string
}

// Do runs the command. params is a value of ParamsType or a pointer to one,
// which is not changed. ErrorOf gives the code of an error. A panic of the
// handler is not recovered.
func (c *Command) Do(ctx context.Context, params any) (Outcome, error) {
	r, err := c.run(ctx, params)
	if err != nil {
		return Outcome{}, err
	}
	return c.outcome(r)
}

// outcome encodes what the handler has returned.
func (c *Command) outcome(r any) (out Outcome, err error) {
	out = Outcome{Message: c.Message, Status: c.Status}
	if v, ok := r.(varying); ok {
		value, message, existing := v.varied()
		r = value
		if message != "" {
			out.Message = message
		}
		if existing {
			out.Status = 200
		}
	}
	if out.Result, err = Marshal(r); err != nil {
		return Outcome{}, Wrap(err, CodeInternal, "the result of %s could not be written", c.Name)
	}
	out.Masked = out.Result
	if c.hasSecretOut {
		if out.Masked, err = mask(out.Result, c.results); err != nil {
			return Outcome{}, err
		}
	}
	if out.Status == 201 && c.Location != "" {
		out.Location = c.expandLocation(r)
	}
	return out, nil
}

func (c *Command) expandLocation(result any) string {
	path := c.Location
	v := reflect.Indirect(reflect.ValueOf(result))
	for _, f := range c.results {
		place := "{" + f.Name + "}"
		if !strings.Contains(path, place) {
			continue
		}
		text := fmt.Sprint(v.FieldByIndex(f.Index).Interface())
		if raw := Base64Unless(text); raw != "" { // a query takes UTF-8 only
			path = strings.ReplaceAll(path, f.Name+"="+place, f.Name+base64Suffix+"="+PathEscape(raw))
			continue
		}
		path = strings.ReplaceAll(path, place, PathEscape(text))
	}
	return path
}

// PathEscape escapes s as one segment of a URL path.
func PathEscape(s string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~@", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
	}
	return b.String()
}

// Masked replaces the values of secret and unknown parameters in logs, events,
// triggers and run records.
const Masked = "***"

// Request returns the command envelope for logs and triggers: {"request": name,
// "parameters": {...}}, with the parameters sorted by name and the values of
// secret and unknown ones masked.
func (c *Command) Request(params map[string]json.RawMessage) json.RawMessage {
	names := slices.AppendSeq(make([]string, 0, len(params)), maps.Keys(params))
	slices.Sort(names)
	var b bytes.Buffer
	b.Grow(512) // most need no more
	b.WriteString(`{"request":"` + c.Name + `","parameters":{`)
	separator := ""
	for _, name := range names {
		b.WriteString(separator)
		separator = ","
		if f, known := c.Param(name); known && !f.Secret {
			b.WriteString(`"` + name + `":`)
			if json.Compact(&b, params[name]) != nil { // cannot happen: it has been parsed before
				b.WriteString("null")
			}
			continue
		}
		b.Write(AppendString(b.AvailableBuffer(), name))
		b.WriteString(`:"` + Masked + `"`)
	}
	b.WriteString("}}")
	return b.Bytes()
}

// mask replaces the values of the secret fields of a JSON object.
func mask(object json.RawMessage, fields []Field) (json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(object, &m); err != nil {
		return nil, err
	}
	for _, f := range fields {
		if _, there := m[f.Name]; there && f.Secret {
			m[f.Name] = json.RawMessage(`"` + Masked + `"`)
		}
	}
	return Marshal(m)
}
