package api

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Kind is the JSON type of a field.
type Kind string

// The kinds of fields.
const (
	KindString  Kind = "string"
	KindBool    Kind = "boolean"
	KindInteger Kind = "integer"
	KindNumber  Kind = "number"
	KindMap     Kind = "object"
	KindList    Kind = "array"
)

// Field describes one parameter or result field by its struct tags:
//
//	json      its name
//	doc       a description: meaning, unit, what zero and absence mean
//	validate  rules of validator/v10 (required, min, max, oneof, ...)
//	default   its value when absent, written as JSON or a bare word
//	secret    "true": masked in logs, events, triggers and run records
//	bytes     "true": a path, which need not be UTF-8; a command's parameter P
//	          may be given in base64 as well, as PBase64
//	unit      what a number counts: bytes, kbit/s, seconds, or time for
//	          microseconds since the Unix epoch
//	column    place among the columns of a table that fits a terminal, or
//	          "below" for a text that stands below its row
type Field struct {
	Name string
	Doc  string
	// Type is the Go type, without a pointer.
	Type reflect.Type
	Kind Kind
	// Pointer reports whether the field is a pointer, which is nil if the
	// parameter is absent. Its default is then only documentation.
	Pointer  bool
	Required bool
	Secret   bool
	Default  string
	// Rules is the validate tag.
	Rules string
	// Enum lists the values of a oneof rule.
	Enum []string
	// InPath reports whether the parameter is a segment of the route.
	InPath bool
	// Other is the parameter that may be given in place of this one, or empty.
	Other string
	// OneRequired reports that this parameter or Other must be given. Required
	// is false then.
	OneRequired bool
	// Base64 reports that the value is in base64, of a map the keys and values.
	Base64 bool
	// Unit is the unit tag, or empty.
	Unit string
	// Column is the column tag: from 1; 0 for a field that only a wide table has.
	Column int
	// Below reports whether the column tag is "below".
	Below bool
	// Index is the argument for FieldByIndex of package reflect.
	Index []int
}

// Fields lists the fields of struct type t in their order, with those of
// embedded structs in place. It panics on a field without a json or doc tag.
func Fields(t reflect.Type) []Field {
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("%s is no struct", t))
	}
	var out []Field
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
			for _, f := range Fields(sf.Type) {
				f.Index = append([]int{i}, f.Index...)
				out = append(out, f)
			}
			continue
		}
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name == "-" || !sf.IsExported() {
			continue
		}
		f := Field{
			Name: name, Doc: sf.Tag.Get("doc"), Type: sf.Type, Secret: sf.Tag.Get("secret") == "true",
			Default: sf.Tag.Get("default"), Rules: sf.Tag.Get("validate"), Index: []int{i},
			Unit: sf.Tag.Get("unit"),
		}
		f.Column, _ = strconv.Atoi(sf.Tag.Get("column"))
		f.Below = sf.Tag.Get("column") == "below"
		if f.Name == "" || f.Doc == "" {
			panic(fmt.Sprintf("%s.%s: a declared field needs a json and a doc tag", t, sf.Name))
		}
		if f.Type.Kind() == reflect.Pointer {
			f.Pointer, f.Type = true, f.Type.Elem()
		}
		f.Kind = kindOf(f.Type)
		for rule := range strings.SplitSeq(f.Rules, ",") {
			key, arg, _ := strings.Cut(rule, "=")
			switch key {
			case "required":
				f.Required = true
			case "oneof":
				f.Enum = strings.Fields(arg)
			}
			if key == "dive" { // the rules that follow are for the elements
				break
			}
		}
		out = append(out, f)
	}
	return out
}

func kindOf(t reflect.Type) Kind {
	switch t.Kind() {
	case reflect.Bool:
		return KindBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return KindInteger
	case reflect.Float32, reflect.Float64:
		return KindNumber
	case reflect.Map, reflect.Struct:
		return KindMap
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && t.Name() == "RawMessage" {
			return KindMap
		}
		return KindList
	default:
		return KindString
	}
}

// FromText turns the text of a path, a query or a default into JSON of the
// field's kind. Text that does not fit becomes a JSON string, which is then
// refused as any other value of a wrong type.
func (f Field) FromText(text string) json.RawMessage {
	switch f.Kind {
	case KindInteger, KindNumber:
		if _, err := strconv.ParseFloat(text, 64); err == nil && json.Valid([]byte(text)) {
			return json.RawMessage(text)
		}
	case KindBool:
		if text == "true" || text == "false" {
			return json.RawMessage(text)
		}
	case KindMap, KindList:
		if text = strings.TrimSpace(text); json.Valid([]byte(text)) {
			return json.RawMessage(text)
		}
	}
	return AppendString(nil, text)
}

// ListParams are the parameters of every list command. It is meant to be
// embedded. The longest cursor is that of ls: the base64 of a file name, which
// may have 765 bytes where a file system allows 255 characters.
type ListParams struct {
	Limit  int    `json:"limit" doc:"How many entries to return at most" default:"100" validate:"min=1,max=1000"`
	Cursor string `json:"cursor" doc:"The nextCursor of the page before; absent for the first page" validate:"max=1024"`
}

// CutPage returns the first limit entries of a list that was read with a limit
// of one more. next is the position of the last of them if the list goes on,
// else 0.
func CutPage[T any](list []T, limit int, position func(T) int64) (page []T, next int64) {
	if len(list) <= limit {
		return list, 0
	}
	return list[:limit], position(list[limit-1])
}

// WaitParams are the parameters of every wait command. It is meant to be
// embedded.
type WaitParams struct {
	TimeoutSeconds int `json:"timeoutSeconds" doc:"How long to wait, in seconds; then the answer comes with processing still true" default:"50" validate:"min=0,max=600"`
}
