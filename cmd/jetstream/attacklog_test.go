//go:build unix

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// attackLog is one table of docs/attacks.md: what a test tried and what
// answered. The page shows what the tests saw, for they compare it, and write it
// with -update.
type attackLog struct {
	t    *testing.T
	name string
	rows []string
}

func newAttackLog(t *testing.T, name string, columns ...string) *attackLog {
	a := &attackLog{t: t, name: name}
	a.row(columns...)
	a.rows = append(a.rows, strings.Repeat("| --- ", len(columns))+"|")
	return a
}

// row adds one line of the table.
func (a *attackLog) row(cells ...string) {
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", "\\|")
	}
	a.rows = append(a.rows, "| "+strings.Join(cells, " | ")+" |")
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

const attacksPage = "../../docs/attacks.md"

// finish compares the table with the page's, or writes it.
func (a *attackLog) finish() {
	a.t.Helper()
	if a.t.Failed() {
		return
	}
	begin, end := "<!-- recorded: "+a.name+" -->\n", "<!-- end: "+a.name+" -->"
	text := strings.ReplaceAll(read(a.t, attacksPage), "\r\n", "\n")
	before, rest, opened := strings.Cut(text, begin)
	committed, after, closed := strings.Cut(rest, end)
	if !opened || !closed {
		a.t.Fatalf("%s has no place for %q: it wants a line %q and later %q", attacksPage, a.name, strings.TrimSpace(begin), end)
	}
	fresh := strings.Join(a.rows, "\n") + "\n"
	switch {
	case committed == fresh:
	case *update:
		if err := os.WriteFile(attacksPage, []byte(before+begin+fresh+end+after), 0o644); err != nil {
			a.t.Fatal(err)
		}
	default:
		a.t.Errorf("%s is stale; run `make generate`. It has\n%sand now answered\n%s", attacksPage, committed, fresh)
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
