package transfer

import (
	"path/filepath"
	"testing"
)

func FuzzCleanName(f *testing.F) {
	for _, s := range []string{"", "/", "a//b/", "./a", "a/../b", "..", "a\x00", "/..."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		clean, err := cleanName(s)
		if err != nil {
			return
		}
		if again, err := cleanName(clean); err != nil || again != clean || clean[0] != '/' || !filepath.IsLocal("."+clean) {
			t.Errorf("%q became %q, which becomes %q (%v)", s, clean, again, err)
		}
	})
}
