package store

import (
	"encoding/json"
	"maps"
	"testing"
)

func TestMapsAreRead(t *testing.T) {
	for _, m := range []map[string]string{
		nil,
		{},
		{"": ""},
		{"job": "17"},
		{"a": "1", "b": "2", "c": "", "ä": "ö"},
		{`quote "`: `back \ slash`, "<b>": "&amp;", "line\n": "\x00", "\u2028": "\u2029", "\xff": "\xfe"},
		{`","`: `":"`, "}": "{", ",": ":"},
	} {
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]string
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		got, err := mapOf(string(data))
		if err != nil || !maps.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("%s was read as %q (%v)", data, got, err)
		}
	}
	for _, data := range []string{"", "{", `{"a"}`, `{"a":1}`, `{"a":"1",}`, `{"a":"1"`, `{"a":"1"}}`, `{"a":"1}`, `["a"]`, `{,}`, "{\"a\":\"\n\"}"} {
		if got, err := mapOf(data); err == nil {
			t.Errorf("%s was read as %q", data, got)
		}
	}
}

// FuzzMapOf compares with encoding/json.
func FuzzMapOf(f *testing.F) {
	for _, data := range []string{"{}", `{"a":"b"}`, `{"a":"b","a":"c"}`, ` {"a" : "b"} `, `{"a":"\u00e4"}`, "{\"a\":\"\xff\"}", "null", `{"a":null}`} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data string) {
		var want map[string]string
		wantErr := json.Unmarshal([]byte(data), &want)
		got, err := mapOf(data)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, encoding/json: %v", data, err, wantErr)
		}
		if err == nil && (!maps.Equal(got, want) || (got == nil) != (want == nil)) {
			t.Fatalf("%q was read as %q, by encoding/json as %q", data, got, want)
		}
	})
}
