package triggers_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// TestDefinitionsListsEveryEvent compares Definitions with the variables of
// events.go that Define makes.
func TestDefinitionsListsEveryEvent(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "events.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared, listed []string
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && mentions(v, "Define") {
					declared = append(declared, v.Names[0].Name)
				}
			}
		case *ast.FuncDecl:
			if d.Name.Name != "Definitions" {
				continue
			}
			ast.Inspect(d, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Definition" {
					listed = append(listed, s.X.(*ast.Ident).Name)
				}
				return true
			})
		}
	}
	for _, name := range declared {
		if !slices.Contains(listed, name) {
			t.Errorf("no script of %s would be found: add %s.Definition to Definitions() in triggers/events.go", name, name)
		}
	}
	if !t.Failed() && !slices.Equal(declared, listed) {
		t.Errorf("Definitions() in triggers/events.go lists\n%q, list them in the order of their declaration\n%q", listed, declared)
	}
}

func mentions(n ast.Node, name string) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return true
	})
	return found
}

func TestCommandEventIsWhatItsParametersEncodeTo(t *testing.T) {
	kind := triggers.Command("send.createManifest")
	text := "a \"quoted\" name, a back\\slash, <&>, a\nline, é, \u2028 and \x00"
	for _, p := range []triggers.CommandParams{
		{Command: encoded(t, map[string]any{"request": "send.createManifest", "parameters": map[string]any{}}), Status: "success",
			Message: "Manifest requested.", Result: json.RawMessage(`{}`)},
		{Command: encoded(t, map[string]any{"request": text, "parameters": map[string]any{"userData": map[string]any{text: text}}}), Status: "conflict",
			Message: text, Result: encoded(t, map[string]any{"fields": []string{text}, "n": 1.5, "none": nil})},
		{Command: json.RawMessage(`{"request":"","parameters":{}}`), Result: json.RawMessage(`{}`)},
	} {
		why := triggers.Cause{User: "alice", RequestID: "r", Depth: 2}
		want, err := kind.Event(p, why)
		if err != nil {
			t.Fatal(err)
		}
		got := triggers.CommandEvent(kind, p, why)
		if string(got.Parameters) != string(want.Parameters) || got.Name != want.Name || cmp.Diff(got.Cause, want.Cause) != "" {
			t.Errorf("%s\nwant\n%s", got.Parameters, want.Parameters)
		}
	}
}

func TestDescribeEncodesTheEntry(t *testing.T) {
	odd := "a \"quoted\" name, a back\\slash, <&>, a\nline, é, \u2028 and \x00"
	for _, r := range []triggers.Run{
		{RunID: "1", Event: "on.getServerInfo", EventID: "2", Attempt: 1, Status: triggers.StatusQueued, QueueTime: 3, EventTime: 4,
			RequestID: "r", User: "alice", TransferID: "t", Depth: 1, Parameters: json.RawMessage(`{"a":1}`)},
		{RunID: odd, Event: odd, EventID: odd, Attempt: 12, Status: triggers.StatusQueued, QueueTime: 1 << 60, RequestID: odd, TransferID: odd},
	} {
		ahead, otherwise, err := triggers.Described(&r)
		if err != nil || string(ahead) != string(otherwise) {
			t.Errorf("%v\n%s\nwant\n%s", err, ahead, otherwise)
		}
	}
}

func encoded(t *testing.T, v any) json.RawMessage {
	t.Helper()
	b, err := api.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
