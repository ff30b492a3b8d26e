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

// Access says who may call a command.
type Access int

// The levels of access.
const (
	AccessUser      Access = iota // everybody who is logged in; handlers check ownership
	AccessSuperuser               // superusers only
	AccessPublic                  // also without login; the handler decides what strangers see
)

// Spec is what a command declares about itself beside its function.
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
	// Message is what success says, unless the handler varies it.
	Message string
	// Location is the path of what a 201 has made, with {field} filled in
	// from the result.
	Location string
	// Errors are the codes beyond invalid, unauthorized, forbidden and
	// internal, which every command may answer.
	Errors []Code
	// Access says who may call it; the zero value is every logged-in user.
	Access Access
	// Example are parameters of a typical call, for the manual and the help.
	// Secrets are left out, and ids, for which ExampleID stands.
	Example map[string]any
}

// Result is what a handler returns instead of its bare value when its message
// or its status varies from call to call.
type Result[T any] struct {
	Value T
	// Message replaces Spec.Message unless empty.
	Message string
	// Existing tells that nothing was made: the status is 200, not Spec.Status.
	Existing bool
}

func (r Result[T]) varied() (any, string, bool) { return r.Value, r.Message, r.Existing }
func (Result[T]) valueType() reflect.Type       { return reflect.TypeFor[T]() }

type varying interface {
	varied() (value any, message string, existing bool)
	valueType() reflect.Type
}

// Empty is the result of a command that has nothing to say: {}.
type Empty struct{}

// Command is one declared command. It is immutable and safe for concurrent use.
type Command struct {
	Spec
	// ParamsType and ResultType are struct types.
	ParamsType, ResultType reflect.Type
	// Params are the parameters in the order of their declaration.
	Params []Field
	// Varies tells that the handler returns a Result: a command with status
	// 201 may then answer 200 with an object that was there already.
	Varies bool
	// Waits tells that the command takes WaitParams, and may last that long.
	Waits bool

	results      []Field
	hasSecretOut bool
	run          func(ctx context.Context, params any) (any, error)
}

// Define declares a command: P is the struct of its parameters, R the struct
// of its result or a Result of it. It panics on a declaration that cannot
// work, which a test of the registry meets before any user does.
func Define[P, R any](spec Spec, fn func(context.Context, P) (R, error)) *Command {
	c := &Command{Spec: spec, ParamsType: reflect.TypeFor[P](), ResultType: reflect.TypeFor[R]()}
	if v, ok := any(*new(R)).(varying); ok {
		c.ResultType, c.Varies = v.valueType(), true
	}
	if c.Status == 0 {
		c.Status = 200
	}
	c.Params = Fields(c.ParamsType)
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

// Param finds a parameter by its exact name.
func (c *Command) Param(name string) (Field, bool) {
	for i := range c.Params { // a Field is large
		if c.Params[i].Name == name {
			return c.Params[i], true
		}
	}
	return Field{}, false
}

// ExampleID stands for an id in examples.
const ExampleID = "019ab2f4c6d87e1fa3b40596c7d8e9f0"

// ExampleParams are the parameters of a typical call: those of Spec.Example,
// and ExampleID for each required id that it does not name. Required secrets
// are missing; whoever shows the call says how a secret is given there.
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

// Replayable tells whether the command takes an Idempotency-Key: it makes
// something, and its answer holds no secret and so may be kept.
func (c *Command) Replayable() bool { return c.Status == 201 && !c.hasSecretOut }

// BareName is the name without send. or recv.
func (c *Command) BareName() string {
	return c.Name[strings.LastIndexByte(c.Name, '.')+1:]
}

// Group is "send", "recv" or "server".
func (c *Command) Group() string {
	if i := strings.IndexByte(c.Name, '.'); i > 0 {
		return c.Name[:i]
	}
	return "server"
}

// Outcome is a successful command: what to answer, encoded once.
type Outcome struct {
	Message string
	Status  int             // HTTP status
	Result  json.RawMessage // always an object
	// Masked is Result with the values of secret fields as "***", for logs
	// and triggers; the same bytes as Result where nothing is secret.
	Masked json.RawMessage
	// Location is the path of what was made, below /api/v1; else empty.
	Location string
}

// Do carries the command out. params is a value of ParamsType or points to
// one, which stays as it is. The error has a code (see ErrorOf); a panic in the
// handler is the caller's to recover.
func (c *Command) Do(ctx context.Context, params any) (Outcome, error) {
	r, err := c.run(ctx, params)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Message: c.Message, Status: c.Status}
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
		if strings.Contains(path, "{"+f.Name+"}") {
			path = strings.ReplaceAll(path, "{"+f.Name+"}", PathEscape(fmt.Sprint(v.FieldByIndex(f.Index).Interface())))
		}
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

// Masked stands for the value of a secret or unknown parameter wherever
// parameters leave for logs, events, triggers and run records.
const Masked = "***"

// Request writes the command structure as triggers and logs see it:
// {"request": name, "parameters": {...}} with the values of secret and
// unknown parameters masked, in the order of the names.
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
			if json.Compact(&b, params[name]) != nil { // it was parsed before: cannot happen
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

// mask replaces the values of secret fields at the top level of an object.
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
