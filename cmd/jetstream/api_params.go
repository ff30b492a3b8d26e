package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"jetstream/internal/api"
)

// parameterFlags makes the flags of one command: a pointer to a struct for the
// parser, one field a parameter, each nil until it is given, and apiFlags.
// Names and help are the declaration's own; whether a value is in range is the
// server's to say.
func parameterFlags(params []api.Field) any {
	fields := make([]reflect.StructField, len(params), len(params)+1)
	for i, f := range params {
		fields[i] = reflect.StructField{
			Name: "P" + strconv.Itoa(i), // exported, as reflection needs it; the tag has the real name
			Type: flagType(f),
			Tag:  flagTag(f),
		}
	}
	fields = append(fields, reflect.StructField{Name: "Call", Type: reflect.TypeFor[apiFlags](), Tag: `embed:""`})
	return reflect.New(reflect.StructOf(fields)).Interface()
}

func flagType(f api.Field) reflect.Type {
	switch {
	case f.Secret:
		return reflect.TypeFor[*string]()
	case f.Kind == api.KindBool:
		return reflect.TypeFor[*bool]()
	case f.Kind == api.KindInteger:
		return reflect.TypeFor[*int64]()
	case f.Kind == api.KindNumber:
		return reflect.TypeFor[*float64]()
	case f.Kind == api.KindMap, f.Kind == api.KindList:
		return reflect.TypeFor[[]string]()
	}
	return reflect.TypeFor[*string]()
}

// joinTruths rewrites "--flag true" to "--flag=true": the parser takes no value
// from the next word for a flag that may stand alone, but every other parameter
// is given like that.
func joinTruths(params []api.Field, args []string) []string {
	flags := map[string]bool{}
	for _, f := range params {
		flags["--"+f.Name] = f.Kind == api.KindBool
	}
	joined := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		word := args[i]
		if flags[word] && i+1 < len(args) && (args[i+1] == "true" || args[i+1] == "false") {
			i++
			word += "=" + args[i]
		}
		joined = append(joined, word)
	}
	return joined
}

func flagTag(f api.Field) reflect.StructTag {
	var b strings.Builder
	tag := func(key, value string) { fmt.Fprintf(&b, "%s:%s ", key, strconv.Quote(value)) }
	tag("name", f.Name)
	// "$$" is the parser's way to write one "$".
	tag("help", strings.ReplaceAll(flagHelp(f), "$", "$$"))
	if p := placeholder(f); p != "" {
		tag("placeholder", p)
	}
	if f.Kind == api.KindMap || f.Kind == api.KindList {
		tag("sep", "none") // a comma is part of a name
	}
	// A missing secret is prompted for, and of two parameters of which one is
	// required the parser would call both required.
	if f.Required && !f.Secret {
		tag("required", "")
	}
	if f.Other != "" {
		tag("xor", strings.TrimSuffix(f.Name, "Base64"))
	}
	return reflect.StructTag(strings.TrimSpace(b.String()))
}

func flagHelp(f api.Field) string {
	help := strings.TrimSuffix(f.Doc, ".")
	var notes []string
	if f.Required {
		notes = append(notes, "required")
	}
	if f.OneRequired && !f.Base64 {
		notes = append(notes, "this or --"+f.Other+" is required")
	}
	if f.Kind == api.KindBool {
		notes = append(notes, "true or false")
	}
	if len(f.Enum) > 0 {
		notes = append(notes, "one of "+strings.Join(f.Enum, ", "))
	}
	if f.Default != "" {
		notes = append(notes, "default "+f.Default)
	}
	if f.Kind == api.KindMap && isStringMap(f.Type) {
		notes = append(notes, "repeatable; :: between the two when either holds a colon; or one JSON object")
	}
	if f.Kind == api.KindList {
		notes = append(notes, "repeatable")
	}
	if f.Secret {
		notes = append(notes, "@FILE reads a file, @- standard input; never the value itself")
	}
	if len(notes) > 0 {
		help += " (" + strings.Join(notes, "; ") + ")"
	}
	return help + "."
}

func placeholder(f api.Field) string {
	switch {
	case f.Secret:
		return "@FILE"
	case f.Kind == api.KindMap && f.Name == "fileMappings":
		return "SRC:DST"
	case f.Kind == api.KindMap && isStringMap(f.Type):
		return "KEY:VALUE"
	case f.Kind == api.KindMap:
		return "JSON"
	case f.Kind == api.KindList:
		return "VALUE"
	case f.Kind == api.KindInteger:
		return "INTEGER"
	case f.Kind == api.KindNumber:
		return "NUMBER"
	case f.Kind == api.KindString:
		return "TEXT"
	}
	return ""
}

func isStringMap(t reflect.Type) bool {
	return t.Kind() == reflect.Map && t.Elem().Kind() == reflect.String
}

// parameterValues returns the parameters and flags given in grammar, a struct
// made by parameterFlags and filled by the parser. It is an error if neither of
// two is given of which one is required. Secrets are returned as given, @FILE
// included.
func parameterValues(params []api.Field, grammar any) (map[string]any, *apiFlags, error) {
	values := map[string]any{}
	v := reflect.ValueOf(grammar).Elem()
	for i, f := range params {
		given := v.Field(i)
		if given.IsNil() {
			continue
		}
		var err error
		switch list, isList := reflect.TypeAssert[[]string](given); {
		case !isList:
			values[f.Name] = given.Elem().Interface()
		case f.Kind == api.KindMap && isStringMap(f.Type):
			values[f.Name], err = parseMap(list)
		case f.Kind == api.KindMap:
			values[f.Name], err = parseObject(list[len(list)-1]) // the last wins
		default:
			values[f.Name], err = parseList(f, list)
		}
		if err != nil {
			return nil, nil, usagef("--%s: %v", f.Name, err)
		}
		if f.Other != "" && !f.Base64 {
			setBytes(values, f.Name, values[f.Name])
		}
	}
	for _, f := range params {
		if f.OneRequired && !f.Base64 && values[f.Name] == nil && values[f.Other] == nil {
			return nil, nil, usagef("missing flags: --%s=%s or --%s", f.Name, placeholder(f), f.Other)
		}
	}
	flags := v.FieldByName("Call").Addr().Interface().(*apiFlags) //nolint:forcetypeassert // parameterFlags has made it
	return values, flags, nil
}

// setBytes sets the parameter called name, which may be given in base64, to a
// text or a map. One that is not UTF-8 is given as nameBase64.
func setBytes(params map[string]any, name string, value any) {
	switch v := value.(type) {
	case string:
		if inBase64 := api.Base64Unless(v); inBase64 != "" {
			delete(params, name)
			name, value = name+"Base64", inBase64
		}
	case map[string]string:
		if inBase64 := api.Base64UnlessMap(v); inBase64 != nil {
			delete(params, name)
			name, value = name+"Base64", inBase64
		}
	}
	params[name] = value
}

// parseMap reads KEY:VALUE pairs, or one JSON object. A pair is cut at its
// only colon, or at its only "::" when either side holds a colon of its own
// (C:\reel::/in); what fits neither is written as JSON.
func parseMap(pairs []string) (map[string]string, error) {
	m := map[string]string{}
	for _, pair := range pairs {
		if strings.HasPrefix(pair, "{") {
			if len(pairs) > 1 {
				return nil, errors.New("give either one JSON object or pairs")
			}
			if err := json.Unmarshal([]byte(pair), &m); err != nil {
				return nil, errors.New("this begins like a JSON object of texts, but is none")
			}
			return m, nil
		}
		key, value, err := cutPair(pair)
		if err != nil {
			return nil, err
		}
		if _, twice := m[key]; twice {
			return nil, fmt.Errorf("%q is given twice", key)
		}
		m[key] = value
	}
	return m, nil
}

func cutPair(pair string) (key, value string, err error) {
	separator := ":"
	if strings.Contains(pair, "::") {
		separator = "::"
	}
	key, value, found := strings.Cut(pair, separator)
	switch {
	case !found:
		return "", "", fmt.Errorf("%q holds no colon: write the two sides as SRC:DST", pair)
	case separator == ":" && strings.Contains(value, ":"):
		return "", "", fmt.Errorf("%q holds several colons: write :: between the two sides, or one JSON object", pair)
	case separator == "::" && strings.Contains(value, "::"):
		return "", "", fmt.Errorf("%q holds several ::, write it as one JSON object", pair)
	case key == "":
		return "", "", fmt.Errorf("%q has nothing before the colon", pair)
	}
	return key, value, nil
}

func parseObject(text string) (json.RawMessage, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
		return nil, errors.New("this must be one JSON object, such as '{\"name\": \"value\"}'")
	}
	return json.RawMessage(text), nil
}

func parseList(f api.Field, list []string) (any, error) {
	switch f.Type.Elem().Kind() {
	case reflect.String:
		return list, nil
	default: // numbers, booleans and objects are written as JSON
		values := make([]json.RawMessage, len(list))
		for i, text := range list {
			if !json.Valid([]byte(text)) || text == "null" {
				return nil, fmt.Errorf("%q is no value of this list", text)
			}
			values[i] = json.RawMessage(text)
		}
		return values, nil
	}
}
