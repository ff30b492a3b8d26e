package middleware

import (
	"bytes"
	"testing"

	"jetstream/internal/api"
)

// FuzzWriteJSON: a text is the same JSON here as everywhere.
func FuzzWriteJSON(f *testing.F) {
	for _, s := range []string{"", "Destination created.", `"`, `\`, "\n", "\x7f", "<&>", "Größe", "\u2028", "\xff", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := api.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		writeJSON(&b, s)
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%q: %s, want %s", s, b.Bytes(), want)
		}
	})
}
