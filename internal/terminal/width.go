package terminal

import (
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// defaultColumns is how wide a terminal is that does not say it.
const defaultColumns = 80

// Columns returns how many columns the terminal w has at present.
func Columns(w io.Writer) int {
	if n, ok := columns(w); ok {
		return n
	}
	return defaultColumns
}

// columns returns how many columns w has, if it is a terminal that says so.
func columns(w io.Writer) (n int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile {
		return 0, false
	}
	n, _, err := term.GetSize(int(f.Fd()))
	return n, err == nil && n > 0
}

// Width returns how many columns of a terminal a printable text takes.
func Width(text string) int {
	n := 0
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Cut shortens a printable text to a number of columns: in the middle, since both ends
// of a name say something.
func Cut(text string, columns int) string {
	const gap = "..."
	if Width(text) <= columns {
		return text
	}
	if columns <= len(gap)+1 {
		return head([]rune(text), columns)
	}
	runes := []rune(text)
	first := head(runes, (columns-len(gap)+1)/2)
	rest := columns - Width(first) - len(gap)
	at := len(runes)
	for at > 0 && rest-runeWidth(runes[at-1]) >= 0 {
		at--
		rest -= runeWidth(runes[at])
	}
	return first + gap + string(runes[at:])
}

// head returns the longest beginning of a text that takes at most some columns.
func head(runes []rune, columns int) string {
	var b strings.Builder
	for _, r := range runes {
		if columns -= runeWidth(r); columns < 0 {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
