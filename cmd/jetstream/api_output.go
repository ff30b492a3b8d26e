package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/terminal"
)

// printTable prints a result for people: a list as a line an entry, any other
// object as a line a field. Columns are the declared fields of the result; of
// a list those that hold no simple value, or none at all, are left out.
func (p *program) printTable(c *api.Command, object json.RawMessage) error {
	result, err := decodeObject(object)
	if err != nil {
		return err
	}
	fields := api.Fields(c.ResultType)
	table := tabwriter.NewWriter(p.Stdout, 0, 8, 2, ' ', 0)
	if list, ok := listOf(fields); ok {
		printRows(table, list, result[list.Name])
	} else {
		for _, f := range fields {
			if value, there := result[f.Name]; there {
				_, _ = fmt.Fprintf(table, "%s\t%s\n", f.Name, cell(f, value)) // Flush returns the error
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if next, more := result["nextCursor"].(string); more {
		_, err = fmt.Fprintf(p.Stderr, "jetstream: there are more: --cursor %s\n", terminal.Printable(next))
	}
	return err
}

func decodeObject(object json.RawMessage) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber() // keeps numbers unchanged
	var value map[string]any
	if err := decoder.Decode(&value); err != nil {
		return nil, api.Wrap(err, api.CodeInternal, "the server's result is no JSON object")
	}
	return value, nil
}

// listOf finds the entries of a list command's result: a page, or a result whose
// only field is a list.
func listOf(fields []api.Field) (list api.Field, ok bool) {
	lists := len(fields) == 1 || slices.ContainsFunc(fields, func(f api.Field) bool { return f.Name == "nextCursor" })
	for _, f := range fields {
		if lists && f.Kind == api.KindList && f.Type.Elem().Kind() == reflect.Struct {
			return f, true
		}
	}
	return api.Field{}, false
}

func printRows(table *tabwriter.Writer, list api.Field, value any) {
	entries, _ := value.([]any)
	var columns []api.Field
	for _, f := range api.Fields(list.Type.Elem()) {
		simple := f.Kind != api.KindMap && f.Kind != api.KindList
		if simple && slices.ContainsFunc(entries, func(e any) bool { return cell(f, member(e, f.Name)) != "-" }) {
			columns = append(columns, f)
		}
	}
	if len(columns) == 0 {
		_, _ = fmt.Fprintln(table, "(none)")
		return
	}
	line := func(text func(api.Field) string) {
		cells := make([]string, len(columns))
		for i, f := range columns {
			cells[i] = text(f)
		}
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	line(func(f api.Field) string { return f.Name })
	for _, e := range entries {
		line(func(f api.Field) string { return cell(f, member(e, f.Name)) })
	}
}

func member(entry any, name string) any {
	object, _ := entry.(map[string]any)
	return object[name]
}

// cell writes one value in one line; "-" stands for none.
func cell(f api.Field, value any) string {
	text := ""
	switch v := value.(type) {
	case nil:
	case string:
		text = v
	case json.Number:
		text = v.String()
		if micro, err := v.Int64(); err == nil && f.Type == reflect.TypeFor[api.Time]() {
			text = api.Time(micro).Std().Format(time.RFC3339)
		}
	default:
		if b, err := api.Marshal(v); err == nil {
			text = string(b)
		}
	}
	if text == "" {
		return "-"
	}
	return terminal.Printable(text)
}

// exampleLine returns a typical command line for c.
func exampleLine(c *api.Command) string {
	words := []string{"jetstream api", c.Name}
	params := c.ExampleParams()
	for _, f := range c.Params {
		value, given := params[f.Name]
		switch {
		case f.Secret && f.Required:
			words = append(words, "--"+f.Name, "@FILE")
		case given:
			for _, text := range flagValues(value) {
				words = append(words, "--"+f.Name, quoted(text))
			}
		}
	}
	return strings.Join(words, " ")
}

// flagValues returns the flag values that encode value.
func flagValues(value any) []string {
	v := reflect.ValueOf(value)
	var texts []string
	switch v.Kind() {
	case reflect.Map:
		for _, key := range v.MapKeys() {
			texts = append(texts, fmt.Sprintf("%v:%v", key, v.MapIndex(key)))
		}
		slices.Sort(texts)
	case reflect.Slice:
		for i := range v.Len() {
			texts = append(texts, fmt.Sprint(v.Index(i)))
		}
	default:
		texts = append(texts, fmt.Sprint(value))
	}
	return texts
}

// quoted quotes text as one shell word.
func quoted(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@,=") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
