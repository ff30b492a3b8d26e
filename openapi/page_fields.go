package openapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// mostNested is how deep the members of members are shown in place.
const mostNested = 3

// fields are the members of an object, the required ones first.
func (d documentText) fields(s schemaText) ([]fieldView, error) { return d.nested(s, 0) }

func (d documentText) nested(s schemaText, depth int) (fields []fieldView, err error) {
	if s.Ref != "" {
		if depth > 0 { // it is described among the objects
			return nil, nil
		}
		s = d.Components.Schemas[refName(s.Ref)]
	}
	if depth > mostNested {
		return nil, nil
	}
	names := slices.SortedFunc(maps.Keys(s.Properties), func(a, b string) int {
		needed := func(name string) bool { return slices.Contains(s.Required, name) }
		if needed(a) != needed(b) && depth == 0 {
			return map[bool]int{true: -1, false: 1}[needed(a)]
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		f, err := d.field(name, s.Properties[name], slices.Contains(s.Required, name), depth)
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func (d documentText) field(name string, s schemaText, required bool, depth int) (f fieldView, err error) {
	f = fieldView{Name: name, Required: required, Type: d.typeOf(s), Object: d.object(s), Rules: s.rules()}
	if f.Text, err = htmlOf(s.Description); err != nil {
		return f, err
	}
	inner := s
	if s.Items != nil {
		inner = *s.Items
	}
	f.Fields, err = d.nested(inner, depth+1)
	return f, err
}

func refName(ref string) string { return strings.TrimPrefix(ref, schemas) }

// object names the component that s, its items or its alternatives to null are.
func (d documentText) object(s schemaText) string {
	if s.Items != nil {
		s = *s.Items
	}
	for _, each := range append([]schemaText{s}, s.AnyOf...) {
		if each.Ref != "" && len(d.Components.Schemas[refName(each.Ref)].Properties) > 0 {
			return refName(each.Ref)
		}
	}
	return ""
}

// typeOf says in words what a value is.
func (d documentText) typeOf(s schemaText) string {
	null := false
	var names []string
	for _, each := range append([]schemaText{s}, s.AnyOf...) {
		if each.Ref != "" {
			names = append(names, refName(each.Ref))
		}
		for _, t := range each.Type {
			switch {
			case t == "null":
				null = true
			case t == "array" && each.Items != nil:
				names = append(names, "list of "+d.typeOf(*each.Items))
			case t == "object" && strings.HasPrefix(string(each.AdditionalProperties), "{"):
				names = append(names, "object by name")
			default:
				names = append(names, t)
			}
		}
	}
	if null {
		names = append(names, "null")
	}
	return strings.Join(names, " or ")
}

// rules are what limits a value, one by one.
func (s schemaText) rules() (rules []string) {
	add := func(format string, values ...any) { rules = append(rules, fmt.Sprintf(format, values...)) }
	between := func(least, most json.Number, format string) {
		switch {
		case least != "" && most != "":
			add(format, least.String()+" to "+most.String())
		case least != "":
			add(format, "at least "+least.String())
		case most != "":
			add(format, "at most "+most.String())
		}
	}
	if len(s.Enum) > 0 {
		values := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			values[i] = plain(v)
		}
		add("one of %s", strings.Join(values, ", "))
	}
	if len(s.Default) > 0 {
		add("default %s", cmp.Or(plain(s.Default), `""`))
	}
	between(s.Minimum, s.Maximum, "%s")
	between(s.MinLength, s.MaxLength, "%s characters")
	between(s.MinItems, s.MaxItems, "%s entries")
	if s.ContentEncoding != "" {
		add("in %s", s.ContentEncoding)
	}
	if s.Format == "password" {
		add("secret")
	}
	return rules
}
