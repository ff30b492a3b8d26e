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
