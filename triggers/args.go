package triggers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// maxArgument is the size of the longest argument in bytes. Linux refuses
// 131,072. Longer values are only in the payload.
const maxArgument = 64 << 10

// parameter is one member of a parameters object.
type parameter struct {
	name  string
	value json.RawMessage
}

// parametersOf returns the members of an object in their order.
func parametersOf(object json.RawMessage) ([]parameter, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("the parameters are no JSON object")
	}
	var out []parameter
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		var p parameter
		p.name, _ = t.(string)
		if err := d.Decode(&p.value); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	_, err := d.Token()
	return out, err
}

// arguments returns the positional arguments for the parameters of an event:
// strings as they are, all other values as compact JSON. What is longer than
// maxArgument is replaced by a marker.
func arguments(parameters json.RawMessage) ([]string, error) {
	params, err := parametersOf(parameters)
	if err != nil {
		return nil, err
	}
	args := make([]string, len(params))
	for i, p := range params {
		var s string
		if p.value[0] == '"' {
			if err := json.Unmarshal(p.value, &s); err != nil {
				return nil, err
			}
			s = withoutNUL(s)
		} else if s, err = compact(p.value); err != nil {
			return nil, err
		}
		if len(s) > maxArgument {
			s = fmt.Sprintf(`{"truncated":true,"bytes":%d}`, len(s))
		}
		args[i] = s
	}
	return args, nil
}

func compact(value json.RawMessage) (string, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return "", err
	}
	return b.String(), nil
}

// withoutNUL replaces NUL, which arguments and environment variables cannot
// contain.
func withoutNUL(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }
