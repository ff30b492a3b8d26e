package main

import (
	"strconv"
	"strings"
	"unicode"
)

// printable makes text of others fit for a terminal: control characters and
// what is not UTF-8 are escaped, so that a file's name cannot move the cursor,
// recolour the screen or fake a line.
func printable(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == unicode.ReplacementChar && !strings.HasPrefix(text[i:], string(unicode.ReplacementChar)):
			b.WriteString(`\x`)
			b.WriteString(strconv.FormatUint(uint64(text[i]), 16))
		case r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r) && !unicode.Is(unicode.Bidi_Control, r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
