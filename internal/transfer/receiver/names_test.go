package receiver

import (
	"strings"
	"testing"
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
		"a.txt": "a (2).txt", "noext": "noext (1)", ".profile": ".profile (1)", "a.tar.gz": "a.tar (1).gz",
		strings.Repeat("x", 255):       strings.Repeat("x", 251) + " (1)",
		strings.Repeat("ä", 127) + "x": strings.Repeat("ä", 125) + " (1)", // not half of a character
	} {
		if got, err := numbered(name, free); got != want || err != nil {
			t.Errorf("numbered(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}
