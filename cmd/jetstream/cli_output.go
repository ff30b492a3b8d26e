package main

import (
	"fmt"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/terminal"
)

// outputFlags choose the form in which a command prints its result. The
// variable ${output} of the grammar is the default.
type outputFlags struct {
	Output string `name:"output" enum:"json,table" default:"${output}" placeholder:"FORM" help:"Form of the result: json, or table for people, with units and times in the zone of this machine (${output})."`
	JSON   bool   `name:"json" help:"Short for --output json."`
	Wide   bool   `name:"wide" help:"Show every column of a table, and values whole, however wide it becomes."`
}

// asJSON reports whether the result is printed as JSON.
func (o *outputFlags) asJSON() bool { return o.JSON || o.Output == "json" }

// print prints a table, and on standard error what it leaves out.
func (p *program) print(t *terminal.Table) error {
	left, err := t.Write(p.Stdout)
	if err == nil && left > 0 {
		_, err = fmt.Fprintf(p.Stderr, "jetstream: %d columns are left out; --wide shows them\n", left)
	}
	return err
}

// clock formats a time for people, in the zone of this machine; all that is
// printed for them uses it.
func clock(t api.Time) string {
	if t == 0 {
		return "-"
	}
	return t.Std().Local().Format(time.DateTime)
}
