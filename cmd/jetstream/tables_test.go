//go:build unix

package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/watch"
	"jetstream/triggers"
)

// TestTablesAreFresh holds that the tables of commands and events in the pages
// are what the declarations say; with -update it writes them.
func TestTablesAreFresh(t *testing.T) {
	checkSection(t, "docs/api.md", "generated: commands", commandTable(handlers.Commands(handlers.Deps{}).All()))
	command := triggers.Command("<command>").Definition
	command.Summary = "An API command was processed (with `--trigger-on-api`)"
	events := append(triggers.Definitions(), command)
	checkSection(t, "docs/triggers.md", "generated: events", eventTable(events, true))
	checkSection(t, "README.md", "generated: events", eventTable(events, false))
	checkSection(t, "docs/setup.md", "generated: setup flags", flagTable(reflect.TypeFor[setupCmd]()))
	checkSection(t, "docs/setup.md", "generated: live settings", liveSettings())
	checkSection(t, "docs/send-json.md", "generated: objects", objectTables())
}

// flagTable has a row for each flag of a command.
func flagTable(command reflect.Type) string {
	rows := tableRows("flag", "what")
	for f := range command.Fields() {
		name := f.Tag.Get("name")
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		help := f.Tag.Get("help")
		if d := f.Tag.Get("default"); d != "" {
			help = strings.TrimSuffix(help, ".") + " (" + d + ")."
		}
		rows = append(rows, tableRow("`"+strings.TrimSpace("--"+name+" "+f.Tag.Get("placeholder"))+"`", help))
	}
	return "\n" + tableText(rows)
}

// liveSettings lists the settings that a reload changes.
func liveSettings() string {
	var names []string
	for f := range reflect.TypeFor[serverCmd]().Fields() {
		if f.Tag.Get("live") != "" {
			names = append(names, "`"+f.Tag.Get("name")+"`")
		}
	}
	return "\n" + strings.Join(names, ", ") + ".\n\n"
}

// objectTables has a table for each object of --json.
func objectTables() string {
	var b strings.Builder
	for _, o := range []struct {
		kind, about string
		object      reflect.Type
	}{
		{"manifest", "The files to send are listed. First, but for `transfers watch` and `retry`.", reflect.TypeFor[watch.ManifestObject]()},
		{"progress", "How the transfer gets on: when that has changed, at most once a second.", reflect.TypeFor[watch.ProgressObject]()},
		{"waiting", "Why it does not get on at present. The next `progress` says that it does again.", reflect.TypeFor[watch.WaitingObject]()},
		{"result", "How it has ended.", reflect.TypeFor[watch.ResultObject]()},
		{"plan", "With `--dry-run`, alone: what would be sent.", reflect.TypeFor[watch.PlanObject]()},
		{"error", "Why the exit status is not 0. Last, after the `result` if there is one.", reflect.TypeFor[watch.ErrorObject]()},
	} {
		rows := tableRows("field", "type", "what")
		for _, f := range api.Fields(o.object) {
			if f.Name != "type" && f.Name != "time" {
				rows = append(rows, tableRow("`"+f.Name+"`", jsonType(f.Type), f.Doc))
			}
		}
		b.WriteString("\n## " + o.kind + "\n\n" + o.about + "\n\n" + tableText(rows))
	}
	return b.String()
}

func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return jsonType(t.Elem()) + " or null"
	case reflect.Slice:
		return "list of objects"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int64:
		if t == reflect.TypeFor[api.Time]() {
			return "integer or null"
		}
	case reflect.Float64:
		return "number"
	}
	return "integer"
}

// checkSection compares the lines of page between <!-- marker --> and
// <!-- end: name --> with fresh, or writes them with -update. The marker is
// how the section is made and its name, such as "generated: commands".
func checkSection(t *testing.T, page, marker, fresh string) {
	t.Helper()
	_, name, _ := strings.Cut(marker, ": ")
	begin, end := "<!-- "+marker+" -->\n", "<!-- end: "+name+" -->\n"
	path := "../../" + page
	text := strings.ReplaceAll(read(t, path), "\r\n", "\n")
	before, rest, begins := strings.Cut(text, begin)
	committed, after, ends := strings.Cut(rest, end)
	switch {
	case !begins || !ends:
		t.Errorf("%s has no place for this section: add the lines %q and %q where it belongs, then run `make generate`",
			page, strings.TrimSpace(begin), strings.TrimSpace(end))
	case committed == fresh:
	case *update:
		if err := os.WriteFile(path, []byte(before+begin+fresh+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		diff := cmp.Diff(strings.Split(committed, "\n"), strings.Split(fresh, "\n"))
		t.Errorf("%s is stale: run `make generate`. The section %q (-committed +now):\n%s", page, marker, diff)
	}
}

// commandTable has a row for each command, with its parameters in words.
func commandTable(commands []*api.Command) string {
	rows := tableRows("command", "REST", "parameters", "for")
	for _, c := range commands {
		var params []string
		for _, f := range c.Params {
			params = append(params, parameterText(f))
		}
		rows = append(rows, tableRow("`"+c.Name+"`<br>"+c.Summary, "`"+c.Method+" "+c.Path+"`", strings.Join(params, "<br>"), accessText(c.Access)))
	}
	return tableText(rows)
}

func parameterText(f api.Field) string {
	var notes []string
	if f.Required {
		notes = append(notes, "required")
	}
	if f.OneRequired && !f.Base64 {
		notes = append(notes, "this or `"+f.Other+"` required")
	}
	if f.Secret {
		notes = append(notes, "secret")
	}
	if len(f.Enum) > 0 {
		notes = append(notes, "`"+strings.Join(f.Enum, "`, `")+"`")
	}
	if f.Default != "" {
		notes = append(notes, "default `"+strings.Trim(f.Default, `"`)+"`")
	}
	text := "`" + f.Name + "`"
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text + ": " + f.Doc
}

func accessText(a api.Access) string {
	switch a {
	case api.AccessSuperuser:
		return "superusers"
	case api.AccessPublic:
		return "everybody"
	default:
		return "users"
	}
}

// eventTable has a row for each event; explained says each argument in words.
func eventTable(events []triggers.Definition, explained bool) string {
	rows := tableRows("script", "runs when", "arguments", "standard input")
	for _, d := range events {
		var arguments []string
		for _, f := range d.Params {
			argument := "`" + f.Name + "`"
			if explained {
				argument += ": " + f.Doc
			}
			arguments = append(arguments, argument)
		}
		separator := " "
		if explained {
			separator = "<br>"
		}
		stdin := ""
		switch {
		case d.FileList:
			stdin = "a line a file: name, TAB, absolute path"
		case d.ParamsType == reflect.TypeFor[triggers.CommandParams]():
			stdin = "the four as one JSON object"
		}
		rows = append(rows, tableRow("`"+d.Name+"`", strings.TrimSuffix(d.Summary, "."), strings.Join(arguments, separator), stdin))
	}
	return tableText(rows)
}

// tableRows begins a table of Markdown.
func tableRows(columns ...string) []string {
	return []string{tableRow(columns...), strings.Repeat("| --- ", len(columns)) + "|"}
}

func tableRow(cells ...string) string {
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

func tableText(rows []string) string { return strings.Join(rows, "\n") + "\n" }

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
