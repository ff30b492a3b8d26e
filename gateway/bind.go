package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"jetstream/internal/api"
)

// binder makes one command's parameter struct from what a request submitted.
// It is safe for concurrent use.
type binder struct {
	command  *api.Command
	names    []string
	inPath   []api.Field
	pristine reflect.Value // with the defaults of absent parameters
	validate *checker
	// none is what a call without parameters is carried out with; nil where it
	// is refused.
	none any
}

// newBinder panics on a default that does not fit its field.
func newBinder(c *api.Command) *binder {
	b := &binder{command: c, pristine: reflect.New(c.ParamsType).Elem(), validate: newChecker(c)}
	for _, f := range c.Params {
		b.names = append(b.names, f.Name)
		if f.InPath {
			b.inPath = append(b.inPath, f)
		}
		if f.Default == "" || f.Pointer {
			continue
		}
		if err := json.Unmarshal(fromText(f, f.Default), b.pristine.FieldByIndex(f.Index).Addr().Interface()); err != nil {
			panic(fmt.Sprintf("command %s: default of %s: %v", c.Name, f.Name, err))
		}
	}
	if p := b.pristine.Addr().Interface(); len(b.validate.check(p, nil)) == 0 {
		b.none = p
	}
	return b
}

// gather adds what path and query hold, typed as declared, to the parameters of
// the body.
func (b *binder) gather(r *http.Request, params map[string]json.RawMessage) error {
	query, err := queryOf(r)
	if err != nil {
		return err
	}
	for name, values := range query {
		f, known := b.command.Param(name)
		if _, twice := params[name]; twice {
			return invalidField(name, "unique", fmt.Sprintf("%.100q is given in the query and in the body; give it once", name))
		}
		if known && (f.Secret || f.InPath) {
			return invalidField(name, "place", fmt.Sprintf("%s does not belong into the query of an address", name))
		}
		if slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			return notText(name)
		}
		switch {
		case known && f.Kind == api.KindList:
			params[name] = listFromText(values)
		case len(values) > 1:
			return invalidField(name, "unique", fmt.Sprintf("%.100q is given more than once", name))
		default:
			value := fromText(f, values[0])
			if half := unpaired(value); half != "" {
				return invalidField(name, "utf8", fmt.Sprintf("%s holds %s, which is one half of a character", bounded(name), half))
			}
			params[name] = value
		}
	}
	for _, f := range b.inPath {
		if _, twice := params[f.Name]; twice {
			return invalidField(f.Name, "place", f.Name+" is given in the path; leave it out of the body")
		}
		value := chi.URLParam(r, f.Name)
		if r.URL.RawPath != "" { // else net/url has unescaped it already
			if value, err = url.PathUnescape(value); err != nil {
				return invalidField(f.Name, "escape", f.Name+" in the path is not escaped correctly")
			}
		}
		if !utf8.ValidString(value) {
			return notText(f.Name)
		}
		params[f.Name] = fromText(f, value)
	}
	return nil
}

// queryOf reads the whole query or none of it: r.URL.Query would leave out what
// it cannot read. It spares the many requests without one the work.
func queryOf(r *http.Request) (url.Values, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "the query of the address cannot be read; escape it as application/x-www-form-urlencoded")
	}
	return query, nil
}

func notText(name string) error {
	return invalidField(name, "utf8", strings.ToValidUTF8(bounded(name), "\uFFFD")+" is not UTF-8")
}

// fromText turns the text of a path, a query or a default into JSON of the
// field's kind. Text that does not fit becomes a JSON string, which bind will
// refuse with a sentence about the type.
func fromText(f api.Field, text string) json.RawMessage {
	switch f.Kind {
	case api.KindInteger, api.KindNumber:
		if _, err := strconv.ParseFloat(text, 64); err == nil && json.Valid([]byte(text)) {
			return json.RawMessage(text)
		}
	case api.KindBool:
		if text == "true" || text == "false" {
			return json.RawMessage(text)
		}
	case api.KindMap, api.KindList:
		if text = strings.TrimSpace(text); json.Valid([]byte(text)) {
			return json.RawMessage(text)
		}
	}
	quoted, err := api.Marshal(text)
	if err != nil { // a string always marshals
		return json.RawMessage(`""`)
	}
	return quoted
}

func listFromText(values []string) json.RawMessage {
	b, err := api.Marshal(values)
	if err != nil {
		return json.RawMessage(`[]`)
	}
	return b
}

// maxFaults is how many faults of one request are named.
const maxFaults = 100

// bind decodes the parameters into the command's struct, which it returns a
// pointer to, and validates it. Faults are named, not only the first.
func (b *binder) bind(params map[string]json.RawMessage) (any, error) {
	if len(params) == 0 && b.none != nil {
		return b.none, nil
	}
	p := reflect.New(b.command.ParamsType)
	v := p.Elem()
	v.Set(b.pristine)
	var faults []api.FieldError
	for name, raw := range params {
		f, known := b.command.Param(name)
		if !known {
			faults = append(faults, api.FieldError{Field: bounded(name), Rule: "unknown"}) // put into words below
			continue
		}
		if fault := decode(f, raw, v.FieldByIndex(f.Index)); fault != nil {
			faults = append(faults, *fault)
		}
	}
	if len(faults) == 0 {
		faults = b.validate.check(p.Interface(), params)
	}
	if len(faults) > 0 {
		slices.SortFunc(faults, func(x, y api.FieldError) int { return strings.Compare(x.Field, y.Field) })
		for i := range min(len(faults), maxFaults) {
			if f := &faults[i]; f.Message == "" {
				f.Message = b.unknown(f.Field)
			}
		}
		return nil, invalid(faults)
	}
	return p.Interface(), nil
}

func (b *binder) unknown(name string) string {
	text := fmt.Sprintf("%s has no parameter %q", b.command.Name, name)
	if near := api.Nearest(name, b.names); near != "" {
		return text + "; did you mean " + near + "?"
	}
	if len(b.names) == 0 {
		return text + ", nor any other"
	}
	return text + "; it has " + strings.Join(b.names, ", ")
}

// decode puts one value into its field, the common kinds of values without the
// help of encoding/json.
func decode(f api.Field, raw json.RawMessage, field reflect.Value) *api.FieldError {
	if f.Pointer {
		p := reflect.New(f.Type)
		field.Set(p)
		field = p.Elem()
	}
	if plainValue(raw, field.Addr().Interface()) {
		return nil
	}
	if holdsNull(raw) {
		return &api.FieldError{Field: f.Name, Rule: "null", Message: f.Name + " may not be null; leave it out instead"}
	}
	if namesTwice(raw) {
		return &api.FieldError{Field: f.Name, Rule: "unique", Message: f.Name + " names a member twice"}
	}
	field.SetZero() // else a list or map would be written over the default, which all calls share
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // where any value may be: a float64 has not all digits
	err := d.Decode(field.Addr().Interface())
	if err == nil {
		return nil
	}
	wanted := map[api.Kind]string{
		api.KindString: "a string", api.KindBool: "true or false", api.KindInteger: "an integer", api.KindNumber: "a number",
		api.KindMap: "an object", api.KindList: "a list",
	}[f.Kind]
	switch {
	case f.Type.Kind() == reflect.Map && f.Type.Elem().Kind() == reflect.String:
		wanted = "an object whose values are strings"
	case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.String:
		wanted = "a list of strings"
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && f.Kind == api.KindInteger {
		if digits, isNumber := strings.CutPrefix(t.Value, "number "); isNumber && !strings.ContainsAny(digits, ".eE") {
			wanted = "an integer within 64 bits"
		}
	}
	return &api.FieldError{Field: f.Name, Rule: "type", Message: f.Name + " must be " + wanted}
}

// bounded keeps a name that somebody sent short enough for a message.
func bounded(name string) string {
	if len(name) > 100 {
		return strings.ToValidUTF8(name[:100], "") + "..."
	}
	return name
}

func invalidField(field, rule, message string) *api.Error {
	return invalid([]api.FieldError{{Field: bounded(field), Rule: rule, Message: message}})
}

// invalid makes one error of all faults; its message names the first few.
func invalid(faults []api.FieldError) *api.Error {
	const shown = 5
	var texts []string
	for _, f := range faults[:min(shown, len(faults))] {
		texts = append(texts, f.Message)
	}
	if more := len(faults) - shown; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
		faults = faults[:min(len(faults), maxFaults)]
	}
	return &api.Error{Code: api.CodeInvalid, Message: strings.Join(texts, "; "), Fields: faults}
}
