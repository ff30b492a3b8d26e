package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/terminal"
	"jetstream/internal/watch"
)

// printTable prints a result for people: a list as a line an entry, any other
// object as a line a field. A list has the columns that its entries declare, or
// all if wide; those that hold no simple value, or none at all, are left out.
func (p *program) printTable(c *api.Command, object json.RawMessage, wide bool) error {
	result, err := decodeObject(object)
	if err != nil {
		return err
	}
	fields := api.Fields(c.ResultType)
	if list, ok := listOf(fields); ok {
		err = p.printRows(list, result[list.Name], wide)
	} else {
		err = p.printFields(fields, result, wide)
	}
	if err != nil {
		return err
	}
	if next, more := result["nextCursor"].(string); more {
		_, err = terminal.Fprintf(p.Stderr, "jetstream: there are more: --cursor %s\n", next)
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

func (p *program) printRows(list api.Field, value any, wide bool) error {
	entries, _ := value.([]any)
	t := terminal.Table{Wide: wide}
	columns, below := columnsOf(list.Type.Elem(), wide)
	columns = slices.DeleteFunc(columns, func(f api.Field) bool {
		return !slices.ContainsFunc(entries, func(e any) bool { return cell(f, member(e, f.Name)) != "" })
	})
	if len(columns) == 0 {
		_, err := fmt.Fprintln(p.Stdout, "(none)")
		return err
	}
	line := func(text func(api.Field) string) {
		cells := make([]any, len(columns))
		for i, f := range columns {
			cells[i] = text(f)
		}
		t.Row(cells...)
	}
	line(func(f api.Field) string { return f.Name })
	for _, e := range entries {
		line(func(f api.Field) string {
			text := cell(f, member(e, f.Name))
			if !wide && len(text) == idLength && idDigits.MatchString(text) {
				text = shortID(text)
			}
			return text
		})
		for _, f := range below {
			t.Below(f.Name+": ", cell(f, member(e, f.Name)))
		}
	}
	return p.print(&t)
}

// columnsOf returns the fields of a list's entries that have simple values; if
// not wide and the type declares columns, only those, in their order, and those
// that stand below the row.
func columnsOf(entry reflect.Type, wide bool) (columns, below []api.Field) {
	var all, declared []api.Field
	for _, f := range api.Fields(entry) {
		if f.Kind == api.KindMap || f.Kind == api.KindList {
			continue
		}
		all = append(all, f)
		if f.Column > 0 {
			declared = append(declared, f)
		}
		if f.Below {
			below = append(below, f)
		}
	}
	if wide || len(declared) == 0 {
		return all, nil
	}
	slices.SortFunc(declared, func(a, b api.Field) int { return a.Column - b.Column })
	return declared, below
}

// printFields prints an object. Values that are too long go on in further lines.
func (p *program) printFields(fields []api.Field, object map[string]any, wide bool) error {
	longest := 0
	for _, f := range fields {
		longest = max(longest, len(f.Name))
	}
	var b strings.Builder
	for _, f := range fields {
		value, there := object[f.Name]
		if !there {
			continue
		}
		text := []rune(terminal.Printable(cmp.Or(cell(f, value), "-")))
		name := f.Name
		for room := max(terminal.LineWidth(p.Stdout)-longest-terminal.ColumnGap, 1); len(text) > 0; name = "" {
			n := len(text)
			if !wide {
				n = min(n, room)
			}
			fmt.Fprintf(&b, "%-*s%s\n", longest+terminal.ColumnGap, name, string(text[:n]))
			text = text[n:]
		}
	}
	_, err := io.WriteString(p.Stdout, b.String())
	return err
}

func member(entry any, name string) any {
	object, _ := entry.(map[string]any)
	return object[name]
}

// cell returns a value as text of one line; "" stands for none.
func cell(f api.Field, value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return numberText(f, v)
	}
	text, err := api.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

// numberText returns a number with its unit.
func numberText(f api.Field, n json.Number) string {
	value, err := n.Float64()
	if err != nil {
		return n.String()
	}
	switch {
	case f.Unit == "bytes":
		return watch.Bytes(int64(value))
	case f.Unit == "kbit/s":
		return watch.Rate(value)
	case f.Unit == "seconds":
		return time.Duration(value * float64(time.Second)).String()
	case f.Unit == "time", f.Type == reflect.TypeFor[api.Time]():
		micros, _ := n.Int64()
		return time.UnixMicro(micros).Local().Format(time.DateTime)
	}
	return n.String()
}
