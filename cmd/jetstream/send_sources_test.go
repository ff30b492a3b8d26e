package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMapSources(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sandbox := filepath.Join(base, "sandbox")
	for _, dir := range []string{filepath.Join(sandbox, "reel", "cut"), filepath.Join(sandbox, "other", "cut"), filepath.Join(base, "outside")} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(base, "by-link")
	if err := os.Symlink(sandbox, link); err != nil {
		t.Fatal(err)
	}
	escape := filepath.Join(sandbox, "escape")
	if err := os.Symlink(filepath.Join(base, "outside"), escape); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(sandbox, "reel"))

	for _, tt := range []struct {
		sources []string
		sandbox string
		want    map[string]string
	}{
		{[]string{"./cut"}, sandbox, map[string]string{"/reel/cut": "/cut"}},
		{[]string{"."}, sandbox, map[string]string{"/reel": "/reel"}},
		{[]string{"cut/"}, sandbox, map[string]string{"/reel/cut": "/cut"}},
		{[]string{"cut", filepath.Join(sandbox, "reel", "cut")}, sandbox, map[string]string{"/reel/cut": "/cut"}},
		{[]string{filepath.Join(sandbox, "other"), "cut"}, sandbox, map[string]string{"/other": "/other", "/reel/cut": "/cut"}},
		{[]string{".."}, sandbox, map[string]string{"/": "/sandbox"}},
		{[]string{"cut"}, link, map[string]string{"/reel/cut": "/cut"}},                          // sandbox named by a link
		{[]string{filepath.Join(link, "other")}, sandbox, map[string]string{"/other": "/other"}}, // source named by one
		{[]string{"cut"}, "/", map[string]string{filepath.ToSlash(filepath.Join(sandbox, "reel", "cut")): "/cut"}},
	} {
		got, err := mapSources(tt.sources, tt.sandbox)
		if err != nil {
			t.Errorf("%q in %s: %v", tt.sources, tt.sandbox, err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q in %s: (-want +got)\n%s", tt.sources, tt.sandbox, diff)
		}
	}
	for _, tt := range []struct {
		sources []string
		says    string
	}{
		{[]string{"../../outside"}, "outside your sandbox " + sandbox},
		{[]string{"missing"}, "there is no " + filepath.Join(sandbox, "reel", "missing")},
		{[]string{"cut", "../other/cut"}, "would both become /cut"},
	} {
		if got, err := mapSources(tt.sources, sandbox); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: got %v, %v; want an error with %q", tt.sources, got, err, tt.says)
		}
	}
	if _, err := mapSources([]string{"/"}, "/"); err == nil || !strings.Contains(err.Error(), "no name") {
		t.Errorf("/: got %v", err)
	}
}
