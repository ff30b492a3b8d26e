package triggers

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"jetstream/internal/api"
)

// sampleTag is the struct tag with the sample value of a parameter.
const sampleTag = "sample"

// Sample returns parameters of the event: those in given, and sample values for
// all others; sampled reports whether there are others. Codes: invalid for unknown names and values of another type.
func (d Definition) Sample(given map[string]any) (parameters json.RawMessage, sampled bool, err error) {
	v := reflect.New(d.ParamsType).Elem()
	var faults []api.FieldError
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(d.Params, func(f api.Field) bool { return f.Name == name }) {
			faults = append(faults, api.FieldError{Field: "parameters", Rule: "unknown",
				Message: "event " + d.Name + " has no parameter " + name + "; it has " + d.paramNames()})
		}
	}
	for _, f := range d.Params {
		value, isGiven := given[f.Name]
		field := v.FieldByIndex(f.Index)
		sampled = sampled || !isGiven
		switch {
		case isGiven && f.Kind == api.KindString:
			text, ok := value.(string)
			if !ok {
				faults = append(faults, wrongType(f, "a string"))
			}
			field.SetString(text)
		case isGiven:
			b, err := api.Marshal(value)
			if _, ok := value.(map[string]any); !ok || err != nil {
				faults = append(faults, wrongType(f, "an object"))
			}
			field.SetBytes(b)
		case f.Kind == api.KindString:
			field.SetString(d.sampleOf(f))
		default:
			field.SetBytes([]byte(d.sampleOf(f)))
		}
	}
	if len(faults) > 0 {
		texts := make([]string, len(faults))
		for i, f := range faults {
			texts[i] = f.Message
		}
		return nil, false, &api.Error{Code: api.CodeInvalid, Message: strings.Join(texts, "; "), Fields: faults}
	}
	b, err := api.Marshal(v.Interface())
	if err != nil {
		return nil, false, api.Wrap(err, api.CodeInternal, "the parameters of event %s could not be written", d.Name)
	}
	return b, sampled, nil
}

func wrongType(f api.Field, wanted string) api.FieldError {
	return api.FieldError{Field: "parameters", Rule: "type", Message: "parameter " + f.Name + " must be " + wanted}
}

func (d Definition) paramNames() string {
	names := make([]string, len(d.Params))
	for i, f := range d.Params {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// sampleOf returns the sample value of a parameter. That of the command of an
// on.* event contains the name of the command.
func (d Definition) sampleOf(f api.Field) string {
	sample := d.ParamsType.FieldByIndex(f.Index).Tag.Get(sampleTag)
	if command, ok := strings.CutPrefix(d.Name, commandPrefix); ok && f.Name == "command" {
		return string(bytes.Replace([]byte(sample), []byte(`"request":""`), []byte(`"request":"`+command+`"`), 1))
	}
	return sample
}
