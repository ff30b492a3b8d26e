package receiver

import "testing"

func TestNamesOfOneFileHaveOneFold(t *testing.T) {
	for _, names := range [][]string{
		{"README", "readme", "ReadMe", "readme.", "README ", "readme. ."},
		{"d/Caf\u00e9", "D/cafe\u0301", "d/CAFE\u0301", "d/CAF\u00c9"},
		{"stra\u00dfe", "STRASSE", "Stra\u1e9ee"},
		{"\u03a3\u03c3\u03c2", "\u03c3\u03c3\u03c3"},
		{"\u212a", "k", "K"},
		{"\ufb01le", "FILE"},
		{"a\u200db", "ab", "a\ufe0fb"},
		{"\u0130", "i", "I", "\u0131"},
		{"\u00c5ngstr\u00f6m", "\u212bngstro\u0308m"},
		{"\xff\xfe", "\xff\xfe"},
	} {
		for _, n := range names[1:] {
			if fold(n) != fold(names[0]) {
				t.Errorf("%+q and %+q have different folds", names[0], n)
			}
		}
	}
	seen := map[int64]string{}
	for _, n := range []string{"a", "b", "a/b", "ab", "ba", "a b", "", ".", "A/B/c"} {
		if n != "." && seen[fold(n)] != "" {
			t.Errorf("%q and %q have the same fold", n, seen[fold(n)])
		}
		seen[fold(n)] = n
	}
}
