package terminal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"jetstream/internal/terminal"
)

// hostile texts move a cursor, name a window, fake a line or hide text, in one
// form or another.
var hostile = []string{
	"\x1b[31mred", "\x1b]0;title\a", "a\rb", "a\nb", "\u009b31m", "\u009d0;x\u009c", "\x9b31m", "\x7f", "\b\b", "\x00",
	"\u202eabc", "\u2066", "\u200b", "\ufeff", "\u2028", "\xff", `\x1b[31m and text`, `\x1b]0;`, `"\x1b"`, "a b\x1b[2J", "a=b \x1b[2J",
}

// inert reports whether a terminal shows a text as it is.
func inert(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && r != ' ' && !unicode.IsGraphic(r) })
}

func TestPrintableIsInert(t *testing.T) {
	for _, text := range hostile {
		if got := terminal.Printable(text); !inert(got) || strings.Contains(got, "\n") {
			t.Errorf("%q is printed as %q", text, got)
		}
		if got := terminal.PrintableLines(text); !inert(got) || strings.Count(got, "\n") != strings.Count(text, "\n") {
			t.Errorf("%q is printed in lines as %q", text, got)
		}
		b, err := json.Marshal(text)
		var same string
		got := terminal.PrintableJSON(b)
		if err != nil || json.Unmarshal(got, &same) != nil || same != strings.ToValidUTF8(text, "\uFFFD") || !inert(string(got)) {
			t.Errorf("%q is printed as the JSON %s (%v)", text, got, err)
		}
	}
}

type name string

func TestFprintfEscapesItsArguments(t *testing.T) {
	for _, text := range hostile {
		var out bytes.Buffer
		if _, err := terminal.Fprintf(&out, "%s\t%s\t%v %d\n", text, name(text), errors.New(text), 7); err != nil {
			t.Fatal(err)
		}
		got := out.String()
		if !inert(strings.ReplaceAll(got, "\t", " ")) || strings.Count(got, "\n") != 1 || strings.Count(got, "\t") != 2 || !strings.HasSuffix(got, " 7\n") {
			t.Errorf("%q is printed as %q", text, got)
		}
	}
}
