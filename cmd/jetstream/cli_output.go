package main

import (
	"fmt"
	"io"
	"strings"
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

const (
	// tableWidth bounds the lines of a table that is not wide, in characters.
	tableWidth = 120
	// leastCell and leastFirst are how short cells are cut at most, of the
	// first column, which has the names and ids, and of the others.
	leastFirst, leastCell = 64, 12
	// columnGap separates columns.
	columnGap = 2
	// noteIndent begins a line below a row.
	noteIndent = "    "
)

// table is what is printed in aligned columns.
type table struct {
	rows [][]string
	// notes are lines below a row, by its index.
	notes map[int]string
	wide  bool
	// left counts the columns that write has left out.
	left int
}

// row adds a line; every one has the same number of cells. An empty cell is
// printed as "-".
func (t *table) row(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		if row[i] = terminal.Printable(fmt.Sprint(cell)); row[i] == "" {
			row[i] = "-"
		}
	}
	t.rows = append(t.rows, row)
}

// below adds a line of its own below the last row, unless text is empty.
func (t *table) below(label, text string) {
	if text == "" {
		return
	}
	if t.notes == nil {
		t.notes = map[int]string{}
	}
	t.notes[len(t.rows)-1] = noteIndent + label + terminal.Printable(text)
}

// write prints the rows. Unless the table is wide, it cuts the longest cells
// until the lines are short enough, and leaves out columns at the end if that
// is not enough.
func (t *table) write(w io.Writer) error {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	if !t.wide {
		all := len(widths)
		widths = fitting(widths, tableWidth)
		t.left = all - len(widths)
	}
	var b strings.Builder
	for n, row := range t.rows {
		var line strings.Builder
		for i, width := range widths {
			fmt.Fprintf(&line, "%-*s", width+columnGap, shortened(row[i], width))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		if note := t.notes[n]; note != "" {
			b.WriteString(shortened(note, tableWidth) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// print prints a table, and on standard error what it leaves out.
func (p *program) print(t *table) error {
	if err := t.write(p.Stdout); err != nil || t.left == 0 {
		return err
	}
	_, err := fmt.Fprintf(p.Stderr, "jetstream: %d columns are left out; --wide shows them\n", t.left)
	return err
}

// fitting returns the widths of as many columns as fit, the longest cut.
func fitting(widths []int, limit int) []int {
	total := -columnGap
	for _, width := range widths {
		total += width + columnGap
	}
	for total > limit {
		longest := 0
		for i := range widths {
			if spare(widths, i) >= spare(widths, longest) {
				longest = i
			}
		}
		if spare(widths, longest) <= 0 {
			break
		}
		widths[longest]--
		total--
	}
	for n := len(widths); total > limit && n > 1; n-- {
		total -= widths[n-1] + columnGap
		widths = widths[:n-1]
	}
	return widths
}

// spare is how much a column can be cut.
func spare(widths []int, i int) int {
	if i == 0 {
		return widths[0] - leastFirst
	}
	return widths[i] - leastCell
}

// shortened cuts text in the middle to a number of characters: both ends
// of a path or a message say something.
func shortened(text string, length int) string {
	const gap = "..."
	runes := []rune(text)
	if len(runes) <= length {
		return text
	}
	if length <= len(gap) {
		return string(runes[:length])
	}
	head := (length - len(gap) + 1) / 2
	tail := length - len(gap) - head
	return string(runes[:head]) + gap + string(runes[len(runes)-tail:])
}

// clock formats a time for people, in the zone of this machine; all that is
// printed for them uses it.
func clock(t api.Time) string {
	if t == 0 {
		return "-"
	}
	return t.Std().Local().Format(time.DateTime)
}
