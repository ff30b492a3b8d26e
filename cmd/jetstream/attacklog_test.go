//go:build unix

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// attackLog is one table of docs/internals/attacks.md: what a test tried and what
// answered. The page shows what the tests saw, for they compare it, and write it
// with -update.
type attackLog struct {
	t    *testing.T
	name string
	rows []string
}

func newAttackLog(t *testing.T, name string, columns ...string) *attackLog {
	return &attackLog{t: t, name: name, rows: tableRows(columns...)}
}

// row adds one line of the table.
func (a *attackLog) row(cells ...string) {
	a.rows = append(a.rows, tableRow(cells...))
}

// tried adds a request and what answered; a failure is a failure of the test as
// well.
func (a *attackLog) tried(request string, got, want string) {
	a.t.Helper()
	if got != want {
		a.t.Errorf("%s: answered %s, want %s", request, got, want)
	}
	a.row("`"+request+"`", got)
}

// finish compares the table with the page's, or writes it.
func (a *attackLog) finish() {
	a.t.Helper()
	if !a.t.Failed() {
		checkSection(a.t, "docs/internals/attacks.md", "recorded: "+a.name, tableText(a.rows))
	}
}

// statuses collects HTTP statuses for one cell of a table.
type statuses map[int]bool

func (s statuses) String() string {
	var list []string
	for status := range s {
		list = append(list, fmt.Sprint(status))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
