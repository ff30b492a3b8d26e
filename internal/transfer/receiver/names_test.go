package receiver

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNamesAreCheckedForThePlatform(t *testing.T) {
	for _, c := range []struct {
		name          string
		unix, windows bool // good there
	}{
		{"/a", true, true},
		{"/a b/c\nd", true, false},
		{"/\xff\xfe", true, true},
		{"/-rf", true, true},
		{"/...", true, false},
		{"/.hidden", true, true},
		{"/con", true, false},
		{"/a/NUL.txt", true, false},
		{"/com1.tar.gz", true, false},
		{"/COM¹", true, false},
		{"/console", true, true},
		{"/com10", true, true},
		{"/a:stream", true, false},
		{`/a\..\b`, true, false},
		{"/ends.", true, false},
		{"/ends ", true, false},
		{"/..", false, false},
		{"/a/../b", false, false},
		{"a", false, false},
		{"", false, false},
		{"/", false, false},
		{"/a/", false, false},
		{"/a\x00", false, false},
		{"/" + strings.Repeat("x", 255), true, true},
		{"/" + strings.Repeat("x", 256), false, false},
	} {
		if got := checkName(c.name, false); (got == "") != c.unix {
			t.Errorf("%q on Unix: %q", c.name, got)
		}
		if got := checkName(c.name, true); (got == "") != c.windows {
			t.Errorf("%q on Windows: %q", c.name, got)
		}
	}
}

func FuzzCheckName(f *testing.F) {
	for _, s := range []string{"/a/b", "/../x", "", "/\x00", "/a//b", "//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkName(name, false) != "" {
			return
		}
		if !strings.HasPrefix(name, "/") || strings.ContainsRune(name, 0) {
			t.Errorf("%q passed", name)
		}
		for part := range strings.SplitSeq(name[1:], "/") {
			if part == "" || part == "." || part == ".." {
				t.Errorf("%q passed with the part %q", name, part)
			}
		}
	})
}

func TestRenamedFileGetsANumberBeforeItsExtension(t *testing.T) {
	taken := map[string]bool{"a (1).txt": true}
	free := func(name string) (bool, error) { return !taken[name], nil }
	for name, want := range map[string]string{
		"a.txt": "a (2).txt", "noext": "noext (1)", ".profile": ".profile (1)", "a.tar.gz": "a (1).tar.gz", "a.TAR.zst": "a (1).TAR.zst", ".tar.gz": ".tar (1).gz",
		"1. act": "1. act (1)", "a.": "a. (1)", "ü.док": "ü (1).док", "a.seventeenletters": "a.seventeenletters (1)",
		"a.\xff": "a.\xff (1)", "\xff\xfe.mov": "\xff\xfe (1).mov",
		"a." + strings.Repeat("x", 253):     "a." + strings.Repeat("x", 249) + " (1)", // an early dot begins no ending
		strings.Repeat("日", 85):             strings.Repeat("日", 83) + " (1)",
		strings.Repeat("日", 83) + ".tar.gz": strings.Repeat("日", 81) + " (1).tar.gz",
		strings.Repeat("x", 255):            strings.Repeat("x", 251) + " (1)",
		strings.Repeat("ä", 127) + "x":      strings.Repeat("ä", 125) + " (1)", // not half of a character
	} {
		if got, err := numbered(name, free); got != want || err != nil {
			t.Errorf("numbered(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}

func FuzzRenamedFile(f *testing.F) {
	for _, s := range []string{"a.txt", "a." + strings.Repeat("x", 253), strings.Repeat("日", 85), ".tar.gz", "\xff.\xfe", strings.Repeat("\x80", 255)} {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, name string, tries uint8) {
		if checkName("/"+name, false) != "" || strings.Contains(name, "/") {
			return
		}
		seen, left := map[string]bool{name: true}, int(tries)
		got, err := numbered(name, func(candidate string) (bool, error) {
			if seen[candidate] {
				t.Fatalf("%q is offered twice for %q", candidate, name)
			}
			seen[candidate] = true
			left--
			return left < 0, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if wrong := checkName("/"+got, false); wrong != "" {
			t.Errorf("%q for %q %s", got, name, wrong)
		}
		if utf8.ValidString(name) && !utf8.ValidString(got) {
			t.Errorf("%q for %q is not UTF-8", got, name)
		}
		if _, ending := splitEnding(name); len(ending) > maxEnding || !strings.HasSuffix(got, ending) {
			t.Errorf("%q for %q has not the ending %q", got, name, ending)
		}
	})
}
