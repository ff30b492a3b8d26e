package openapi

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/swaggest/jsonschema-go"
)

// applyRules translates a validate tag into the schema of its field and tells
// whether the field is required. t is the field's type without its pointer. A
// rule that cannot be said in JSON Schema must stand in silentRules; any other
// is an error, so that the document never promises less than the server holds.
func applyRules(tag string, s *jsonschema.Schema, t reflect.Type) (required bool, err error) {
	if tag == "" || tag == "-" {
		return false, nil
	}
	names := (*jsonschema.Schema)(nil)
	at, kind := s, t
	for rule := range strings.SplitSeq(tag, ",") {
		key, arg, _ := strings.Cut(rule, "=")
		switch key {
		case "dive": // what follows is about the elements
			if at, err = elements(at); err != nil {
				return required, err
			}
			kind = kind.Elem()
			continue
		case "keys": // up to endkeys it is about a map's keys
			names = &jsonschema.Schema{}
			continue
		case "endkeys":
			if at != s { // the map's schema holds its keys' and its values' rules
				s.WithPropertyNames(names.ToSchemaOrBool())
			}
			names = nil
			continue
		}
		target, of := at, kind
		if names != nil {
			target, of = names, reflect.TypeFor[string]()
		}
		if key == "required" {
			required = required || target == s
			if of.Kind() == reflect.String && target.MinLength == 0 {
				target.MinLength = 1
			}
			continue
		}
		if err := applyRule(key, arg, target, of); err != nil {
			return required, fmt.Errorf("validate rule %q: %w", rule, err)
		}
	}
	return required, nil
}

// elements is the schema of what a list or map holds.
func elements(s *jsonschema.Schema) (*jsonschema.Schema, error) {
	switch {
	case s.Items != nil && s.Items.SchemaOrBool != nil && s.Items.SchemaOrBool.TypeObject != nil:
		return s.Items.SchemaOrBool.TypeObject, nil
	case s.AdditionalProperties != nil && s.AdditionalProperties.TypeObject != nil:
		return s.AdditionalProperties.TypeObject, nil
	}
	return nil, fmt.Errorf("dive into something that is no list and no map")
}

// silentRules depend on other fields or on the server, or only say when the
// others apply; the field's doc tag says them in words.
var silentRules = []string{ //nolint:gochecknoglobals // a table that is never written
	"omitempty", "omitnil", "omitzero",
	"required_if", "required_unless", "required_with", "required_with_all", "required_without", "required_without_all",
	"excluded_if", "excluded_unless", "excluded_with", "excluded_without", "eqfield", "nefield",
}

// formats are the rules that JSON Schema knows by a format or a pattern.
var formats = map[string]struct{ format, pattern string }{ //nolint:gochecknoglobals // a table that is never written
	"email":            {format: "email"},
	"url":              {format: "uri"},
	"uri":              {format: "uri"},
	"uuid":             {format: "uuid"},
	"hostname":         {format: "hostname"},
	"hostname_rfc1123": {format: "hostname"},
	"ipv4":             {format: "ipv4"},
	"ipv6":             {format: "ipv6"},
	"base64url":        {pattern: `^[A-Za-z0-9_-]*={0,2}$`},
	"base64rawurl":     {pattern: `^[A-Za-z0-9_-]*$`},
	"base64":           {pattern: `^[A-Za-z0-9+/]*={0,2}$`},
	"hexadecimal":      {pattern: `^(0[xX])?[0-9a-fA-F]+$`},
	"alpha":            {pattern: `^[a-zA-Z]+$`},
	"alphanum":         {pattern: `^[a-zA-Z0-9]+$`},
	"numeric":          {pattern: `^[-+]?[0-9]+(\.[0-9]+)?$`},
	"number":           {pattern: `^[0-9]+$`},
	"lowercase":        {pattern: `^[^A-Z]*$`},
	"printascii":       {pattern: `^[\x20-\x7E]*$`},
}

func applyRule(key, arg string, s *jsonschema.Schema, t reflect.Type) error {
	switch key {
	case "min", "gte":
		return bound(s, t, arg, true, false)
	case "max", "lte":
		return bound(s, t, arg, false, false)
	case "gt":
		return bound(s, t, arg, true, true)
	case "lt":
		return bound(s, t, arg, false, true)
	case "len":
		if err := bound(s, t, arg, true, false); err != nil {
			return err
		}
		return bound(s, t, arg, false, false)
	case "oneof":
		for value := range strings.FieldsSeq(arg) {
			v, err := scalar(value, t)
			if err != nil {
				return err
			}
			s.Enum = append(s.Enum, v)
		}
		return nil
	case "startswith":
		s.WithPattern("^" + quotePattern(arg))
		return nil
	case "unique":
		s.WithUniqueItems(true)
		return nil
	}
	if f, ok := formats[key]; ok {
		if f.format != "" {
			s.WithFormat(f.format)
		} else {
			s.WithPattern(f.pattern)
		}
		return nil
	}
	if slices.Contains(silentRules, key) {
		return nil
	}
	return fmt.Errorf("has no translation into JSON Schema; give it one in openapi/rules.go")
}

// bound sets a lower or upper bound of a number, a length or a count.
func bound(s *jsonschema.Schema, t reflect.Type, arg string, lower, exclusive bool) error {
	switch t.Kind() {
	case reflect.String, reflect.Slice, reflect.Array, reflect.Map:
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return err
		}
		if exclusive && lower {
			n++
		} else if exclusive {
			n--
		}
		setCount(s, t.Kind(), n, lower)
		return nil
	}
	n, err := strconv.ParseFloat(arg, 64)
	if err != nil {
		return err
	}
	switch {
	case lower && exclusive:
		s.WithExclusiveMinimum(n)
	case lower:
		s.WithMinimum(n)
	case exclusive:
		s.WithExclusiveMaximum(n)
	default:
		s.WithMaximum(n)
	}
	return nil
}

func setCount(s *jsonschema.Schema, kind reflect.Kind, n int64, lower bool) {
	switch {
	case kind == reflect.String && lower:
		s.WithMinLength(n)
	case kind == reflect.String:
		s.WithMaxLength(n)
	case kind == reflect.Map && lower:
		s.WithMinProperties(n)
	case kind == reflect.Map:
		s.WithMaxProperties(n)
	case lower:
		s.WithMinItems(n)
	default:
		s.WithMaxItems(n)
	}
}

func scalar(text string, t reflect.Type) (any, error) {
	switch t.Kind() {
	case reflect.String:
		return text, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.ParseInt(text, 10, 64)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.ParseUint(text, 10, 64)
	}
	return nil, fmt.Errorf("oneof is for strings and integers, not for %s", t)
}

// quotePattern escapes what ECMAScript patterns give a meaning.
func quotePattern(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(`\^$.|?*+()[]{}/`, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
