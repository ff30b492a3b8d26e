package terminal

import (
	"fmt"
	"io"
	"strings"
)

const (
	// TableWidth bounds the lines of a table that is not wide and whose output is
	// no terminal, in characters.
	TableWidth = 120
	// leastWidth is the least that a terminal's width counts for.
	leastWidth = 40
	// leastCell is how short cells are cut at most; those of the first column, which
	// has the names and ids, keep half of the line.
	leastCell = 12
	// ColumnGap separates columns.
	ColumnGap = 2
	// noteIndent begins a line below a row.
	noteIndent = "    "
)

// Table is what is printed in aligned columns.
type Table struct {
	rows [][]string
	// notes are lines below a row, by its index.
	notes map[int]string
	// Wide lets lines become as long as they are.
	Wide bool
}

// LineWidth returns how long the lines of a table on w may be, in characters: as the
// terminal is wide, or TableWidth.
func LineWidth(w io.Writer) int {
	if n, ok := columns(w); ok {
		return max(n, leastWidth)
	}
	return TableWidth
}

// Row adds a line; every one has the same number of cells. An empty cell is
// printed as "-".
func (t *Table) Row(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		if row[i] = Printable(fmt.Sprint(cell)); row[i] == "" {
			row[i] = "-"
		}
	}
	t.rows = append(t.rows, row)
}

// Below adds a line of its own below the last row, unless text is empty.
func (t *Table) Below(label, text string) {
	if text == "" {
		return
	}
	if t.notes == nil {
		t.notes = map[int]string{}
	}
	t.notes[len(t.rows)-1] = noteIndent + label + Printable(text)
}

// Write prints the rows. Unless the table is wide, it cuts the longest cells
// until the lines are short enough, and leaves out columns at the end if that
// is not enough; left is how many.
func (t *Table) Write(w io.Writer) (left int, err error) {
	limit := LineWidth(w)
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	if !t.Wide {
		all := len(widths)
		widths = fitting(widths, limit)
		left = all - len(widths)
	}
	var b strings.Builder
	for n, row := range t.rows {
		var line strings.Builder
		for i, width := range widths {
			fmt.Fprintf(&line, "%-*s", width+ColumnGap, shortened(row[i], width))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		if note := t.notes[n]; note != "" {
			b.WriteString(shortened(note, limit) + "\n")
		}
	}
	_, err = io.WriteString(w, b.String())
	return left, err
}

// fitting returns the widths of as many columns as fit, the longest cut.
func fitting(widths []int, limit int) []int {
	total := -ColumnGap
	for _, width := range widths {
		total += width + ColumnGap
	}
	for total > limit {
		longest := 0
		for i := range widths {
			if spare(widths, i, limit) >= spare(widths, longest, limit) {
				longest = i
			}
		}
		if spare(widths, longest, limit) <= 0 {
			break
		}
		widths[longest]--
		total--
	}
	for n := len(widths); total > limit && n > 1; n-- {
		total -= widths[n-1] + ColumnGap
		widths = widths[:n-1]
	}
	return widths
}

// spare is how much a column can be cut.
func spare(widths []int, i, limit int) int {
	if i == 0 {
		return widths[0] - limit/2
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
