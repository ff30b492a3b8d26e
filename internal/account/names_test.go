package account

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// listed is a directory that returns few names at a time.
type listed struct{ names []string }

func (l *listed) Readdirnames(n int) ([]string, error) {
	if len(l.names) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(l.names), 7)
	got := l.names[:n]
	l.names = l.names[n:]
	return got, nil
}

func TestNamesAfterReadsLargeDirectoriesInBatches(t *testing.T) {
	for _, size := range []int{0, 1, 9, 10, 11, 20, 21, 137, 1000} {
		var all []string
		for i := range size {
			all = append(all, fmt.Sprintf("%03x", i*7))
		}
		rand.Shuffle(size, func(i, j int) { all[i], all[j] = all[j], all[i] })
		var got []string
		for more, after := true, ""; more; {
			names, again, err := NamesAfter(t.Context(), &listed{slices.Clone(all)}, after, 10)
			if err != nil || len(names) > 10 || again && len(names) < 10 {
				t.Fatalf("of %d names after %q: %q, more %v, %v", size, after, names, again, err)
			}
			if got = append(got, names...); again {
				after = names[len(names)-1]
			}
			more = again
		}
		if slices.Sort(all); !slices.Equal(got, all) {
			t.Errorf("of %d names %d came: %q", size, len(got), got)
		}
	}
}

func TestNamesAfterReadsADirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	names, more, err := NamesAfter(t.Context(), f, "a", 1)
	if err != nil || !more || !slices.Equal(names, []string{"b"}) {
		t.Errorf("%q, more %v, %v", names, more, err)
	}
}
