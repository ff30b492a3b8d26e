package api

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// quotedBytes is how many bytes of a text Quote shows.
const quotedBytes = 200

// Truncate returns the first n bytes of s, or up to three fewer in order not to
// split a character.
func Truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	// In text that is not UTF-8 no character may begin near n.
	for i := n; i > n-utf8.UTFMax && i >= 0; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n]
}

// Shorten is Truncate for messages: it appends "..." if it has cut s.
func Shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return Truncate(s, n) + "..."
}

// Quote returns text from outside, such as a path, for a message: shortened to
// 200 bytes, in double quotes, with control characters escaped and bytes that
// are not UTF-8 replaced.
func Quote(s string) string {
	return strconv.Quote(strings.ToValidUTF8(Shorten(s, quotedBytes), "\uFFFD"))
}
