package terminal

import (
	"slices"
	"strings"
	"testing"
)

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
		narrow := Table{}
		narrow.Row(c.row...)
		left, err := narrow.Write(&out)
		if err != nil {
			t.Fatal(err)
		}
		line := strings.TrimSuffix(out.String(), "\n")
		if len(line) > TableWidth || c.want != "" && line != c.want || left != c.left || strings.HasSuffix(line, " ") {
			t.Errorf("%s: %q of %d characters, %d columns left out; want %q", c.name, line, len(line), left, c.want)
		}
		out.Reset()
		wide := Table{Wide: true}
		wide.Row(c.row...)
		if _, err := wide.Write(&out); err != nil {
			t.Fatal(err)
		}
		for _, cell := range wide.rows[0] {
			if !strings.Contains(out.String(), cell) {
				t.Errorf("%s: the wide table lacks %q", c.name, cell)
			}
		}
	}
}
