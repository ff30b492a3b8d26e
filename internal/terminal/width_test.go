package terminal_test

import (
	"testing"

	"jetstream/internal/terminal"
)

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{
		{"reel.mov", 8, "reel.mov"},
		{"reel-one-two.mov", 11, "reel....mov"},
		{"日本語のファイル名", 18, "日本語のファイル名"},
		{"日本語のファイル名", 11, "日本...ル名"},
		{"日本語", 3, "日"},
		{"e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"},
		{"abc", 0, ""},
		{"abc", 2, "ab"},
		{"", 5, ""},
	} {
		got := terminal.Cut(c.text, c.columns)
		if got != c.want || terminal.Width(got) > c.columns {
			t.Errorf("%q in %d columns is %q of %d, want %q", c.text, c.columns, got, terminal.Width(got), c.want)
		}
	}
}
