package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jetstream/triggers"
)

// TestManualListsTheEvents holds the table of the manual to the declarations:
// every event, in their order, with its arguments in theirs.
func TestManualListsTheEvents(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile("`([a-z_]+)`")
	var names []string
	arguments := map[string][]string{}
	var before []string
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(line, " | ")
		name, ok := strings.CutPrefix(cells[0], "| `")
		if !ok || len(cells) < 4 {
			continue
		}
		name, _, _ = strings.Cut(name, "`")
		var own []string
		if strings.HasPrefix(cells[2], "the same") {
			own = slices.Clone(before)
		}
		for _, m := range words.FindAllStringSubmatch(cells[2], -1) {
			own = append(own, m[1])
		}
		names, before = append(names, name), own
		arguments[name] = own
	}
	definitions := append(triggers.Definitions(), triggers.Command("<command>").Definition)
	var want []string
	for _, d := range definitions {
		want = append(want, d.Name)
		var params []string
		for _, f := range d.Params {
			params = append(params, f.Name)
		}
		if got := arguments[d.Name]; !slices.Equal(got, params) {
			t.Errorf("README.md: the script of %s gets %v, want %v", d.Name, got, params)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("README.md lists the events %v, want %v", names, want)
	}
}

func TestDefaultsOfTheTriggerFlags(t *testing.T) {
	flags := map[string]string{}
	for f := range reflect.TypeFor[serverCmd]().Fields() {
		flags[f.Tag.Get("name")] = f.Tag.Get("default")
	}
	for name, want := range map[string]string{
		"trigger-dir": "", "trigger-on-api": "", "trigger-log": "", "trigger-timeout": "0s", "trigger-grace": "5s", "trigger-keep": "10000",
		"trigger-order": "global", "trigger-concurrency": "4", "trigger-queue-max": "100000", "trigger-env": "", "shutdown-grace": "30s",
	} {
		if got, ok := flags[name]; !ok || got != want {
			t.Errorf("--%s is %q by default (%t), want %q", name, got, ok, want)
		}
	}
}
