package api

import (
	"bytes"
	"testing"
)

// AppendString returns the same JSON as Marshal.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "Destination created.", `"`, `\`, "\n", "\x7f", "<&>", "Größe", "\u2028", "\xff", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendString([]byte("a"), s); !bytes.Equal(got, append([]byte("a"), want...)) {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	})
}
