package api

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextIsCutBetweenCharacters(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc"},
		{"abc", 0, ""},
		{"aä", 2, "a"},
		{"aäb", 3, "aä"},
		{"€€", 5, "€"},
		{"😀", 3, ""},
		{"a😀", 4, "a"},
		{"\x80\x80\x80\x80\x80\x80", 5, "\x80\x80\x80\x80\x80"}, // no character begins here
		{"a\x80\x80\x80\x80\x80", 5, "a\x80\x80\x80\x80"},
	} {
		if got := Truncate(c.s, c.n); got != c.want {
			t.Errorf("Truncate(%q, %d) is %q, want %q", c.s, c.n, got, c.want)
		}
		want := c.want
		if len(c.s) > c.n {
			want += "..."
		}
		if got := Shorten(c.s, c.n); got != want {
			t.Errorf("Shorten(%q, %d) is %q, want %q", c.s, c.n, got, want)
		}
	}
}

func FuzzTruncateKeepsAPrefixOfWholeCharacters(f *testing.F) {
	f.Add("a€😀b", 5)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 0 || n > len(s) {
			return
		}
		got := Truncate(s, n)
		if !strings.HasPrefix(s, got) || len(got) > n || n-len(got) >= utf8.UTFMax {
			t.Errorf("Truncate(%q, %d) is %q", s, n, got)
		}
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("Truncate(%q, %d) splits a character: %q", s, n, got)
		}
	})
}

func TestQuoteShowsAnythingOnOneLine(t *testing.T) {
	for s, want := range map[string]string{
		"/reel":                            `"/reel"`,
		"/grüße":                           `"/grüße"`,
		"a\nb\x1b[2J":                      `"a\nb\x1b[2J"`,
		"\xff":                             "\"\uFFFD\"",
		strings.Repeat("ä", 150):           `"` + strings.Repeat("ä", 100) + `..."`,
		"a" + strings.Repeat("ä", 150):     `"a` + strings.Repeat("ä", 99) + `..."`,
		strings.Repeat("x", quotedBytes):   `"` + strings.Repeat("x", quotedBytes) + `"`,
		strings.Repeat("x", quotedBytes+1): `"` + strings.Repeat("x", quotedBytes) + `..."`,
	} {
		if got := Quote(s); got != want {
			t.Errorf("Quote(%q) is %s, want %s", s, got, want)
		}
	}
}
