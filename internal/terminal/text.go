// Package terminal prints for people: text of others is made harmless first.
package terminal

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"
)

// Printable makes text of others fit for a terminal: control characters and
// what is not UTF-8 are escaped, so that a file's name cannot move the cursor,
// recolour the screen or fake a line.
func Printable(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == unicode.ReplacementChar && !strings.HasPrefix(text[i:], string(unicode.ReplacementChar)):
			b.WriteString(`\x`)
			b.WriteString(strconv.FormatUint(uint64(text[i]), 16))
		case harmless(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// harmless reports whether a terminal shows r as itself, and nothing else happens.
func harmless(r rune) bool {
	return r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r) && !unicode.Is(unicode.Bidi_Control, r)
}

// PrintableJSON is Printable for JSON, which stays the same value. What is
// below 0x20 is escaped in it already, or is its layout.
func PrintableJSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r < unicode.MaxASCII || harmless(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	return out
}

// PrintableLines is Printable for text of several lines: they and tabs stay.
func PrintableLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		body, ended := strings.CutSuffix(line, "\n")
		for i, part := range strings.Split(body, "\t") {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(Printable(part))
		}
		if ended {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// Fprintf is fmt.Fprintf with all texts in args made printable, so that none of
// them can add a line.
func Fprintf(w io.Writer, format string, args ...any) (int, error) {
	safe := make([]any, len(args))
	for i, arg := range args {
		safe[i] = arg
		switch v := reflect.ValueOf(arg); arg := arg.(type) {
		case error:
			safe[i] = Printable(arg.Error())
		case fmt.Stringer:
			safe[i] = Printable(arg.String())
		default:
			if v.Kind() == reflect.String {
				safe[i] = Printable(v.String())
			}
		}
	}
	return fmt.Fprintf(w, format, safe...)
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
