package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/strictjson"
)

// binder makes one command's parameter struct from what a request submitted.
// It is safe for concurrent use.
type binder struct {
	command  *api.Command
	names    []string
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
		if f.Default == "" || f.Pointer {
			continue
		}
		if err := json.Unmarshal(f.FromText(f.Default), b.pristine.FieldByIndex(f.Index).Addr().Interface()); err != nil {
			panic(fmt.Sprintf("command %s: default of %s: %v", c.Name, f.Name, err))
		}
	}
	if p := b.pristine.Addr().Interface(); len(b.validate.check(p, nil)) == 0 {
		b.none = p
	}
	return b
}

// maxFaults is how many faults of one request are named.
const maxFaults = 100

// maxShownName is how much of a name that the caller has made up is shown, in
// bytes.
const maxShownName = 100

// bind decodes the parameters into a new value of the command's struct, validates
// it, and returns a pointer to it. The error lists all faults, not only the first.
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
			faults = append(faults, api.FieldError{Field: api.Shorten(name, maxShownName), Rule: "unknown"}) // put into words below
			continue
		}
		if _, both := params[f.Other]; both && f.Other != "" { // told of the parameter in base64
			if f.Base64 {
				faults = append(faults, api.FieldError{Field: name, Rule: "excluded", Message: name + " and " + f.Other + " are both given; give one of them"})
			}
			continue
		}
		field := v.FieldByIndex(f.Index)
		fault := decode(f, raw, field)
		if fault == nil && f.Base64 {
			fault = decodeBase64(f, field)
		}
		if fault != nil {
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
	if f.Kind == api.KindInteger {
		raw = strictjson.Integer(raw)
	}
	if strictjson.DecodePlain(raw, field.Addr().Interface()) {
		return nil
	}
	if strictjson.ContainsNull(raw) {
		return &api.FieldError{Field: f.Name, Rule: "null", Message: f.Name + " may not be null; leave it out instead"}
	}
	if strictjson.HasDuplicateNames(raw) {
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
	if f.Type.Kind() == reflect.Map && f.Type.Elem().Kind() == reflect.String {
		if name, found := notAString(raw); found {
			name = f.Name + "." + api.Shorten(name, maxShownName)
			return &api.FieldError{Field: name, Rule: "type", Message: name + " must be a string"}
		}
	}
	return &api.FieldError{Field: f.Name, Rule: "type", Message: f.Name + " must be " + wanted}
}

// decodeBase64 replaces the text of a field, or the keys and values of a map, by
// the bytes that it is the base64 of.
func decodeBase64(f api.Field, field reflect.Value) *api.FieldError {
	fault := func(text, rule, what string) *api.FieldError {
		return &api.FieldError{Field: f.Name, Rule: rule, Message: f.Name + ": " + api.Quote(text) + " " + what}
	}
	const bad = "is not base64 with + and / and padding; in a query + is written %2B"
	if f.Kind == api.KindString {
		raw, err := base64.StdEncoding.Strict().DecodeString(field.String())
		if err != nil {
			return fault(field.String(), "base64", bad)
		}
		field.SetString(string(raw))
		return nil
	}
	decoded := make(map[string]string, field.Len())
	for key, value := range field.Interface().(map[string]string) {
		k, err := base64.StdEncoding.Strict().DecodeString(key)
		if err != nil {
			return fault(key, "base64", bad)
		}
		v, err := base64.StdEncoding.Strict().DecodeString(value)
		if err != nil {
			return fault(value, "base64", bad)
		}
		if _, twice := decoded[string(k)]; twice { // line breaks do not count in base64
			return fault(key, "unique", "is there twice")
		}
		decoded[string(k)] = string(v)
	}
	field.Set(reflect.ValueOf(decoded))
	return nil
}

// notAString names the first member of a JSON object, in the order of names,
// that is no string.
func notAString(object json.RawMessage) (name string, found bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return "", false
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if members[name][0] != '"' {
			return name, true
		}
	}
	return "", false
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
