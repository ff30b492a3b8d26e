package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamesOfAList(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sandbox := filepath.Join(base, "sandbox")
	for _, name := range []string{"sandbox/reel/a/x.mov", "sandbox/reel/a/y z.mov", "sandbox/reel/b/n\nl", "sandbox/top", "outside/f"} {
		if err := os.MkdirAll(filepath.Join(base, filepath.Dir(name)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(base, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("reel", filepath.Join(sandbox, "linked")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(sandbox)
	whole := strings.TrimPrefix(filepath.ToSlash(sandbox), "/")

	for _, tt := range []struct {
		list  string
		from0 bool
		want  map[string]string
	}{
		{"reel/a/x.mov\ntop\n", false, map[string]string{"/reel/a/x.mov": "/reel/a/x.mov", "/top": "/top"}},
		{"\n./reel//a/./y z.mov\r\n\n", false, map[string]string{"/reel/a/y z.mov": "/reel/a/y z.mov"}},
		{"reel/b/n\nl\x00./top\x00", true, map[string]string{"/reel/b/n\nl": "/reel/b/n\nl", "/top": "/top"}},
		{"top\ntop\n./top", false, map[string]string{"/top": "/top"}},
		{"reel/a/x.mov\nreel\nreel/b\n", false, map[string]string{"/reel": "/reel"}}, // all in it
		{".\n./reel\n./reel/a\n", false, map[string]string{"/": "/"}},
		{"linked/a/x.mov", false, map[string]string{"/reel/a/x.mov": "/linked/a/x.mov"}}, // the name is that of the list
		{sandbox + "/top", false, map[string]string{"/top": "/" + whole + "/top"}},
	} {
		f := filterFlags{FilesFrom: "-", From0: tt.from0}
		got, shown, err := f.readList(&program{Stdin: strings.NewReader(tt.list)}, sandbox, false)
		if err != nil || shown != "the list" {
			t.Errorf("%q: %v, shown as %s", tt.list, err, shown)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", tt.list, diff)
		}
	}

	var many strings.Builder
	for i := range 100_001 {
		fmt.Fprintf(&many, "none/%d\n", i)
	}
	for _, tt := range []struct{ list, says string }{
		{"", "-: the list is empty"},
		{"\n\r\n", "the list is empty"},
		{"top\nreel/../top\n", `the name "reel/../top" has .. in it`},
		{"../outside/f", "has .. in it"},
		{base + "/outside/f", "outside your sandbox " + sandbox},
		{"missing", "there is no \"" + sandbox + "/missing\": remove it from the list, or send with --on-error continue"},
		{"top\n" + sandbox + "/top", "are the same file"},
		{strings.Repeat("x", maxList+1), "more than 16 MiB"},
	} {
		f := filterFlags{FilesFrom: "-"}
		if got, _, err := f.readList(&program{Stdin: strings.NewReader(tt.list)}, sandbox, false); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%.40q: got %v, %v; want an error with %q", tt.list, got, err, tt.says)
		}
	}
	f := filterFlags{FilesFrom: "-"}
	if _, _, err := f.readList(&program{Stdin: strings.NewReader(many.String())}, sandbox, true); err == nil || !strings.Contains(err.Error(), "has 100001 names") {
		t.Errorf("100,001 names: %v", err)
	}
	if got, _, err := f.readList(&program{Stdin: strings.NewReader("missing\ntop")}, sandbox, true); err != nil || len(got) != 2 {
		t.Errorf("what is missing may be listed, got %v, %v", got, err)
	}
}
