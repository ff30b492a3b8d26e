package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"jetstream/handlers"
)

func TestFlagsBeforeTheirCommand(t *testing.T) {
	t.Parallel()
	p := &program{Getenv: func(string) string { return "" }}
	root, err := p.model(&cli{}, kong.Name("jetstream"), kong.Vars{"default_state_dir": "", "output": "table"})
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		"":                                    "",
		"--help":                              "--help",
		"--host b trigger list":               "trigger list --host b",
		"--host=b trigger --tls list":         "trigger list --host=b --tls",
		"trigger --json --host b list":        "trigger list --json --host b",
		"trigger list --host b":               "trigger list --host b",
		"--host b api --output table ls":      "api --host b --output table ls",
		"user --persistent-state-dir d list":  "user list --persistent-state-dir d",
		"trigger runs --limit -1 --since -2h": "trigger runs --limit=-1 --since=-2h",
		"send -- --host -1":                   "send -- --host -1",
		"trigger emit launch --param -1":      "trigger emit launch --param=-1",
		"trigger show -1":                     "trigger show -1",
		"--hots b trigger list":               "--hots b trigger list",
		"--host b":                            "--host b",
		"--host":                              "--host",
		"--host b nonesuch":                   "--host b nonesuch",
		"trigger --host b nonesuch":           "trigger --host b nonesuch",
	} {
		if got := strings.Join(arranged(root, strings.Fields(given)), " "); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
}

func TestTablesFitATerminal(t *testing.T) {
	t.Parallel()
	long, id := strings.Repeat("0123456789", 30), strings.Repeat("a", 36)
	for _, c := range []struct {
		name string
		row  []any
		want string // of the row, in a table that is not wide
		left int
	}{
		{"short", []any{id, "x", "", "y\x1b"}, id + `  x  -  y\x1b`, 0},
		{"cut in the middle", []any{id, long, "y"}, id + "  " + long[:38] + "..." + long[len(long)-38:] + "  y", 0},
		{"the longest are cut", []any{id, long, long, "y"}, "", 0},
		{"a long name", []any{long, "x"}, "", 0},
		{"too many columns", slices.Repeat([]any{"0123456789ab"}, 20), "", 12},
	} {
		var out strings.Builder
		narrow := table{}
		narrow.row(c.row...)
		if err := narrow.write(&out); err != nil {
			t.Fatal(err)
		}
		line := strings.TrimSuffix(out.String(), "\n")
		if len(line) > tableWidth || c.want != "" && line != c.want || narrow.left != c.left || strings.HasSuffix(line, " ") {
			t.Errorf("%s: %q of %d characters, %d columns left out; want %q", c.name, line, len(line), narrow.left, c.want)
		}
		out.Reset()
		wide := table{wide: true}
		wide.row(c.row...)
		if err := wide.write(&out); err != nil {
			t.Fatal(err)
		}
		for _, cell := range wide.rows[0] {
			if !strings.Contains(out.String(), cell) {
				t.Errorf("%s: the wide table lacks %q", c.name, cell)
			}
		}
	}
}

// TestParametersAreNamedUnlikeFlags: the parameters of a command are flags beside
// those of the login and the output.
func TestParametersAreNamedUnlikeFlags(t *testing.T) {
	t.Parallel()
	p := &program{Getenv: func(string) string { return "" }}
	commands := handlers.Commands(handlers.Deps{}).All()
	root, err := p.model(&apiGrammar{}, kong.Vars{"default_state_dir": "", "output": "json"})
	if err != nil {
		t.Fatal(err)
	}
	reserved := []string{"version", "yes"} // of other commands that act alike
	for _, f := range root.Flags {
		reserved = append(reserved, f.Name)
	}
	if !slices.Contains(reserved, "host") || !slices.Contains(reserved, "json") || !slices.Contains(reserved, "help") {
		t.Fatalf("the flags are %q", reserved)
	}
	for _, c := range commands {
		for _, f := range c.Params {
			if slices.ContainsFunc(reserved, func(flag string) bool { return strings.EqualFold(flag, f.Name) }) {
				t.Errorf("the parameter %s of %s has the name of a flag of jetstream api: name it otherwise", f.Name, c.Name)
			}
		}
		if _, err := p.model(parameterFlags(c.Params), kong.Vars{"default_state_dir": "", "output": "json"}); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}
