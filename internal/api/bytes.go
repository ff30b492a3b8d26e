package api

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// base64Suffix ends the names of parameters and result fields that hold in
// base64 what need not be UTF-8.
const base64Suffix = "Base64"

// withBase64 inserts after each parameter with the tag bytes the one that gives
// the same value in base64.
func withBase64(params []Field, t reflect.Type) []Field {
	out := make([]Field, 0, len(params))
	for _, f := range params {
		if t.FieldByIndex(f.Index).Tag.Get("bytes") != "true" {
			out = append(out, f)
			continue
		}
		if f.Kind != KindString && f.Type != reflect.TypeFor[map[string]string]() || f.Pointer {
			panic(fmt.Sprintf("%s of %s: only a string and a map of strings can be given in base64", f.Name, t))
		}
		f.OneRequired, f.Required = f.Required, false
		f.Other = f.Name + base64Suffix
		twin := Field{
			Name: f.Other, Type: f.Type, Kind: f.Kind, Index: f.Index, OneRequired: f.OneRequired,
			Other: f.Name, Base64: true,
			Doc: "The bytes of " + f.Name + " in base64, where it is not UTF-8; in place of it",
		}
		if f.Kind == KindMap {
			twin.Doc = f.Name + " with its keys and values in base64, where one is not UTF-8; in place of it"
		}
		out = append(out, f, twin)
	}
	return out
}

// Base64Unless returns s in base64 if it is not UTF-8, else "": the value of the
// result field beside that of s, which JSON cannot hold unchanged.
func Base64Unless(s string) string {
	if utf8.ValidString(s) {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(s))
}

// Base64UnlessMap returns m with its keys and values in base64 if one of them
// is not UTF-8, else nil.
func Base64UnlessMap(m map[string]string) map[string]string {
	valid := true
	for k, v := range m {
		valid = valid && utf8.ValidString(k) && utf8.ValidString(v)
	}
	if valid {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[base64.StdEncoding.EncodeToString([]byte(k))] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	return out
}
