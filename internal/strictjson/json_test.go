package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
)

// decodeObject does what ParseObject does, by encoding/json's decoder and a
// count of the colons.
func decodeObject(data []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, api.Errorf(api.CodeInvalid, "the body is not JSON: %s at byte %d", syntax.Error(), syntax.Offset)
		}
		return nil, api.Errorf(api.CodeInvalid, "the body must be a JSON object, {...}")
	}
	n, depth, inString := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ':' && depth == 1:
			n++
		}
	}
	if n != len(members) {
		return nil, api.Errorf(api.CodeInvalid, "the body names a member twice")
	}
	return members, nil
}

func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, `{"a":{"b":null}}`, `{"a":"\"}:"}`, `{"a":1,"a":2}`, `[{"a":1}]`, `{"a\\":"\\"}`, "{\"\\u0061\":1,\"a\":2}",
		`null`, ` { "a" : [ {"b" : 1} , "]" ] , "c":-1.5e3 ,"d" :true } `, `{"a":1,}`, `{"a":1} {}`, "{\"\xff\":1,\"\xfe\":2}", `{"\ud800":1,"\ud801":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := ParseObject(data)
		decoded, refused := decodeObject(data)
		if fmt.Sprint(err) != fmt.Sprint(refused) {
			t.Fatalf("%q: %v, want %v", data, err, refused)
		}
		if err != nil {
			return
		}
		if !maps.EqualFunc(members, decoded, func(x, y json.RawMessage) bool { return bytes.Equal(x, y) }) {
			t.Fatalf("%q: %s, encoding/json sees %s", data, members, decoded)
		}
		var want map[string]any
		if json.Unmarshal(data, &want) != nil || len(want) != len(members) {
			t.Fatalf("%q: %d members, encoding/json sees %d", data, len(members), len(want))
		}
		var hasNull func(any) bool
		hasNull = func(v any) bool {
			switch v := v.(type) {
			case nil:
				return true
			case map[string]any:
				for _, e := range v {
					if hasNull(e) {
						return true
					}
				}
			case []any:
				return slices.ContainsFunc(v, hasNull)
			}
			return false
		}
		for name, raw := range members {
			// Repeated names inside hide nulls from encoding/json's map, so
			// only the direction that matters is held: no null passes.
			if hasNull(want[name]) && !ContainsNull(raw) {
				t.Fatalf("%q: the null in %q was not seen", data, name)
			}
		}
	})
}

// FuzzPlainValue holds what is read without encoding/json against what it
// reads.
func FuzzPlainValue(f *testing.F) {
	for _, s := range []string{`"a"`, `"\u0061"`, `"\"`, "\"\xff\"", `true`, `false`, `null`, `0`, `-0`, `7`, `1e3`, `1.0`, `9223372036854775807`, `9223372036854775808`,
		`{}`, `{"a":"b"}`, `{ "a" : "b" , "c" : "d" }`, `{"a":"b","a":"c"}`, `{"a":null}`, `{"a":1}`, `{"a":{"b":"c"}}`, `["a"]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.TrimSpace(data)
		if !json.Valid(data) {
			return
		}
		for _, to := range []any{new(string), new(bool), new(int), new(int64), new(map[string]string)} {
			if !DecodePlain(data, to) {
				continue
			}
			want := reflect.New(reflect.TypeOf(to).Elem())
			if err := json.Unmarshal(data, want.Interface()); err != nil || ContainsNull(data) {
				t.Errorf("%q is taken for a %T (%v)", data, to, err)
			}
			if diff := cmp.Diff(want.Interface(), to); diff != "" {
				t.Errorf("%q (-encoding/json +got):\n%s", data, diff)
			}
			if _, err := decodeObject(data); data[0] == '{' && err != nil {
				t.Errorf("%q is taken: %v", data, err)
			}
		}
	})
}

// TestPlainValues: what callers send most is read without encoding/json.
func TestPlainValues(t *testing.T) {
	for text, to := range map[string]any{
		`"10.0.0.1"`: new(string), `"Größe"`: new(string), `true`: new(bool), `false`: new(bool), `8887`: new(int), `-1`: new(int64),
		`{}`: new(map[string]string), ` { "site" : "b" , "budget":"4711" }`: new(map[string]string),
	} {
		if !DecodePlain(json.RawMessage(strings.TrimSpace(text)), to) {
			t.Errorf("%s is not read as %T", text, to)
		}
	}
}
