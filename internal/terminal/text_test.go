package terminal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/lmittmann/tint"

	"jetstream/internal/terminal"
)

// hostile texts move a cursor, name a window, fake a line or hide text, in one
// form or another.
var hostile = []string{ //nolint:gochecknoglobals // never written
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

// The colours of tint are its own; nothing else may come through, also not
// where it turns text back into ESC.
func TestLogHandlerIsInert(t *testing.T) {
	for _, colour := range []bool{true, false} {
		var out bytes.Buffer
		log := slog.New(terminal.LogHandler(tint.NewTextHandler(&out, &tint.Options{NoColor: !colour})))
		for _, text := range hostile {
			for name, say := range map[string]func(){
				"message": func() { log.Info(text) },
				"value":   func() { log.Info("m", "k", text) },
				"key":     func() { log.Info("m", text, 1) },
				"error":   func() { log.Info("m", "error", errors.New(text)) },
				"group":   func() { log.Info("m", slog.Group(text, "k", text)) },
				"with":    func() { log.With(text, text).WithGroup(text).Info("m", "k", "v") },
				"bytes":   func() { log.Info("m", "k", []byte(text)) },
				"struct":  func() { log.Info("m", "k", struct{ A, B string }{text, text}) },
			} {
				out.Reset()
				say()
				got := out.String()
				if colour {
					for _, own := range []string{"\x1b[0m", "\x1b[2m", "\x1b[92m", "\x1b[91m", "\x1b[22m", "\x1b[2;91m"} {
						got = strings.ReplaceAll(got, own, "")
					}
				}
				if !inert(got) || strings.Count(got, "\n") != 1 {
					t.Errorf("%s %q is logged (colour %t) as %q", name, text, colour, out.String())
				}
			}
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
