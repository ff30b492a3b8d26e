package api

import (
	"fmt"
	"reflect"
	"strings"
)

// Kind is the JSON type of a field as binder, schema and flags need it.
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

// Field is one parameter or result field, read once from its struct tags:
//
//	json      its name
//	doc       a sentence for people: what, unit, what zero and absence mean
//	validate  rules of validator/v10 (required, min, max, oneof, ...)
//	default   its value when absent, written as JSON or a bare word
//	secret    "true": masked in logs, events, triggers and run records
type Field struct {
	Name string
	Doc  string
	// Type is the Go type with a pointer taken off.
	Type reflect.Type
	Kind Kind
	// Pointer fields stay nil when the parameter is absent: the handler sees
	// whether it was given, and the default is only what the document says.
	Pointer  bool
	Required bool
	Secret   bool
	Default  string
	// Rules is the validate tag as it stands.
	Rules string
	// Enum lists the values of a oneof rule.
	Enum []string
	// InPath tells that the parameter is a segment of the route.
	InPath bool
	// Index leads to the field by reflect's FieldByIndex.
	Index []int
}

// Fields lists the fields of struct type t in their order, those of embedded
// structs in place. It panics on a field without json or doc tag: a
// declaration that is not finished.
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
		}
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
			if key == "dive" { // what follows is about the elements
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

// ListParams are the parameters of every list command; embed it. The longest
// cursor is that of ls: the base64 of a file name, which has up to 765 bytes
// where a file system counts 255 characters of other scripts.
type ListParams struct {
	Limit  int    `json:"limit" doc:"How many entries to return at most" default:"100" validate:"min=1,max=1000"`
	Cursor string `json:"cursor" doc:"The nextCursor of the page before; absent for the first page" validate:"max=1024"`
}

// CutPage makes a page of a list that was asked for one entry more than limit,
// in order to know whether it goes on. next is the position of the page's last
// entry, or 0 when the list ends there.
func CutPage[T any](list []T, limit int, position func(T) int64) (page []T, next int64) {
	if len(list) <= limit {
		return list, 0
	}
	return list[:limit], position(list[limit-1])
}

// WaitParams are the parameters of every wait command; embed it.
type WaitParams struct {
	TimeoutSeconds int `json:"timeoutSeconds" doc:"How long to wait, in seconds; then the answer comes with processing still true" default:"60" validate:"min=0,max=600"`
}
