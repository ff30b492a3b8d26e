package filter_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/transfer/filter"
)

// entries are those of the tree that rsync is asked about; a directory ends in /.
var entries = []string{
	"a/", "a/a/", "a/a/b", "a/b", "a/ab", "a/b.c/", "a/b.c/a", "b/", "b/a/", "b/a/a/", "b/a/a/b", "b/a/c", "b/b",
	"c", "ab", "b.c", "a-b", "a]b", "a[b", "a*b", `a\b`, "a1", "ä", "a b", "reel/", "reel/tmp/", "reel/tmp/x", "reel/x.tmp",
	"reel/tmp2", "tmp", "x.tmp", "deep/", "deep/reel/", "deep/reel/tmp/", "deep/reel/tmp/y", "deep/x.tmp/", "deep/x.tmp/z",
}

type lists struct{ include, exclude []string }

var cases = []lists{
	{nil, nil}, {nil, []string{"*"}}, {nil, []string{"*/"}}, {nil, []string{"**"}}, {nil, []string{"***"}},
	{nil, []string{"tmp"}}, {nil, []string{"/tmp"}}, {nil, []string{"tmp/"}}, {nil, []string{"/reel/tmp"}}, {nil, []string{"reel/tmp"}},
	{nil, []string{"reel/tmp/"}}, {nil, []string{"*.tmp"}}, {nil, []string{"*.tmp/"}}, {nil, []string{"reel/*.tmp"}},
	{nil, []string{"/*.tmp"}}, {nil, []string{"/**.tmp"}}, {nil, []string{"**.tmp"}}, {nil, []string{"**/tmp"}}, {nil, []string{"/**/tmp"}},
	{nil, []string{"reel/**"}}, {nil, []string{"/reel/**"}}, {nil, []string{"reel/***"}}, {nil, []string{"/reel/***"}}, {nil, []string{"reel/*"}},
	{nil, []string{"reel***"}}, {nil, []string{"a/**/b"}}, {nil, []string{"a**b"}}, {nil, []string{"a*b"}}, {nil, []string{"?"}},
	{nil, []string{"??"}}, {nil, []string{"a?b"}}, {nil, []string{"[a-b]"}}, {nil, []string{"[!a]"}}, {nil, []string{"[^a]b"}},
	{nil, []string{"a[]]b"}}, {nil, []string{"a[[]b"}}, {nil, []string{`a\*b`}}, {nil, []string{`a\b`}}, {nil, []string{`a[\]x]b`}},
	{nil, []string{"a[a-]b"}}, {nil, []string{"a[[:digit:]]"}}, {nil, []string{"a[![:alpha:][:space:]]b"}}, {nil, []string{"a[[:a]b"}},
	{nil, []string{"b/a"}}, {nil, []string{"b/a/"}}, {nil, []string{"a/b"}}, {nil, []string{"/a/b"}}, {nil, []string{"a/a/b"}}, {nil, []string{"a/?"}},
	{[]string{"*/", "*.tmp"}, []string{"*"}}, {[]string{"reel/", "reel/tmp/***"}, []string{"*"}}, {[]string{"x.tmp"}, []string{"*.tmp"}},
	{[]string{"/reel/***"}, []string{"*"}}, {[]string{"deep/"}, []string{"/*"}}, {[]string{"tmp"}, nil}, {[]string{"a/b"}, []string{"b"}},
	{[]string{"/a/", "/a/a/", "b"}, []string{"*"}},
}

func TestAsRsync(t *testing.T) {
	program, err := exec.LookPath("rsync")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no rsync, and CI must have it")
		}
		t.Skip("SKIPPED: there is no rsync to compare with; install it to run this test")
	}
	tree := t.TempDir()
	for _, e := range entries {
		p := filepath.Join(tree, e)
		if strings.HasSuffix(e, "/") {
			err = os.MkdirAll(p, 0o755)
		} else {
			err = os.WriteFile(p, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	all := slices.Clone(cases)
	random := rand.New(rand.NewPCG(3, 5)) // the same in each run
	for i := 0; i < 60 && !testing.Short(); i++ {
		all = append(all, lists{randomPatterns(random, 1), randomPatterns(random, 2)})
	}
	kept, left := 0, 0
	for _, c := range all {
		args := []string{"-rn", "--out-format=%n"}
		for _, p := range c.include {
			args = append(args, "--include="+p)
		}
		for _, p := range c.exclude {
			args = append(args, "--exclude="+p)
		}
		out, err := exec.CommandContext(t.Context(), program, append(args, tree+"/", filepath.Join(tree, "none"))...).Output()
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		var want []string
		for line := range strings.Lines(strings.ReplaceAll(string(out), `\#303\#244`, "ä")) {
			if line = strings.TrimSuffix(line, "\n"); line != "./" && !strings.HasPrefix(line, "created ") {
				want = append(want, line)
			}
		}
		f, err := filter.New(c.include, c.exclude)
		if err != nil {
			t.Fatal(err)
		}
		got := walk(t, f, tree)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("include %q exclude %q (-rsync +here):\n%s", c.include, c.exclude, diff)
		}
		kept += len(got)
		left += len(entries) - len(got)
	}
	if kept < 300 || left < 300 {
		t.Errorf("the patterns keep %d entries and leave out %d: they decide too little", kept, left)
	}
}

// randomPatterns returns up to n patterns that are taken.
func randomPatterns(r *rand.Rand, n int) (list []string) {
	pieces := []string{"a", "b", "c", "/", "/", "*", "**", "?", "[ab]", "[!a]", ".", "tmp", "reel"}
	for range r.IntN(n + 1) {
		text := ""
		for range 1 + r.IntN(5) {
			text += pieces[r.IntN(len(pieces))]
		}
		if _, err := filter.New(nil, []string{text}); err == nil {
			list = append(list, text)
		}
	}
	return list
}

// walk lists what a filter keeps of a tree.
func walk(t *testing.T, f *filter.Filter, tree string) (kept []string) {
	err := filepath.WalkDir(tree, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == tree {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(p, tree))
		switch {
		case f.Keep(name, e.IsDir()) && e.IsDir():
			kept = append(kept, name[1:]+"/")
		case f.Keep(name, e.IsDir()):
			kept = append(kept, name[1:])
		case e.IsDir():
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(kept)
	return kept
}

func TestKeep(t *testing.T) {
	for _, tt := range []struct {
		include, exclude []string
		name             string
		dir, want        bool
	}{
		{nil, []string{"**"}, "/", true, true}, // where all goes to
		{nil, []string{"/reel/tmp"}, "/reel/tmp", true, false},
		{nil, []string{"/reel/tmp"}, "/deep/reel/tmp", true, true},
		{nil, []string{"reel/tmp"}, "/unreel/tmp", true, true},
		{nil, []string{"tmp/"}, "/tmp", false, true},
		{nil, []string{"dir/***"}, "/x/dir", true, false},
		{nil, []string{"dir/***"}, "/x/dir", false, true},
		{nil, []string{"dir/***"}, "/x/dir/y", false, false},
		{[]string{"*.mov"}, []string{"*"}, "/a.mov", false, true},
		{[]string{"*.mov"}, []string{"*"}, "/a.mov.part", false, false},
		{[]string{"*.mov"}, nil, "/a.txt", false, true},
		{nil, []string{strings.Repeat("?", 63) + "*" + strings.Repeat("b", 70)}, "/" + strings.Repeat("a", 64) + strings.Repeat("b", 70), false, false},
		{nil, []string{strings.Repeat("?", 600) + "*"}, "/" + strings.Repeat("a", 600), false, false},
		{nil, []string{strings.Repeat("?", 600) + "*"}, "/" + strings.Repeat("a", 599), false, true},
	} {
		f, err := filter.New(tt.include, tt.exclude)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Keep(tt.name, tt.dir); got != tt.want {
			t.Errorf("include %q exclude %q: Keep(%q, %v) is %v", tt.include, tt.exclude, tt.name, tt.dir, got)
		}
	}
}

func TestBadPatterns(t *testing.T) {
	many := slices.Repeat([]string{"x"}, filter.MaxPatterns)
	for _, tt := range []struct {
		include, exclude []string
		list, says       string
	}{
		{nil, []string{""}, "exclude", "is empty"},
		{[]string{"ok", "a[b"}, nil, "include", `the include pattern "a[b" has a [ without a ]`},
		{nil, []string{"a[b-"}, "exclude", "without a ]"},
		{nil, []string{`a[\`}, "exclude", "without a ]"},
		{nil, []string{"[[:number:]]"}, "exclude", "[:number:]"},
		{nil, []string{`*\`}, "exclude", "ends with a backslash"},
		{nil, []string{"/"}, "exclude", "names no entry"},
		{nil, []string{"a//b"}, "exclude", "two / in a row"},
		{nil, []string{"./tmp"}, "exclude", "has . in it"},
		{nil, []string{"a/../b"}, "exclude", "has .. in it"},
		{nil, []string{"a\x00"}, "exclude", "NUL"},
		{nil, []string{"a\xff"}, "exclude", "UTF-8"},
		{nil, []string{strings.Repeat("x", filter.MaxLength+1)}, "exclude", "has 4097 bytes"},
		{many, []string{"y"}, "include", "there are 1001 patterns"},
		{nil, slices.Repeat([]string{strings.Repeat("x", filter.MaxLength)}, 17), "exclude", "more than 65536 bytes"},
	} {
		_, err := filter.New(tt.include, tt.exclude)
		e, ok := errors.AsType[*filter.Error](err)
		if !ok || e.List != tt.list || !strings.Contains(e.Reason, tt.says) {
			t.Errorf("include %.40q exclude %.40q: %v, want one of %s with %q", fmt.Sprint(tt.include), fmt.Sprint(tt.exclude), err, tt.list, tt.says)
		}
	}
	if _, err := filter.New(many, nil); err != nil {
		t.Error(err)
	}
}

// Matching takes time in proportion to the lengths, whatever the pattern.
func FuzzKeep(f *testing.F) {
	f.Add("*", "/a", true)
	f.Add(strings.Repeat("*a", 2000), "/"+strings.Repeat("a", 255), false)
	f.Add(strings.Repeat("**a", 1300)+"b", strings.Repeat("/a", 2000), false)
	f.Add("[[:alpha:]-z]/***", "/x", true)
	f.Add(`\[[!]]**/`, "/[a/b", true)
	f.Fuzz(func(t *testing.T, pattern, name string, dir bool) {
		list, err := filter.New(nil, []string{pattern})
		if err != nil || !strings.HasPrefix(name, "/") {
			return
		}
		got := list.Keep(name, dir)
		both, err := filter.New([]string{pattern}, []string{"**"})
		if err != nil {
			t.Fatal(err)
		}
		if name != "/" && both.Keep(name, dir) == got {
			t.Errorf("%q both includes %q and does not, or neither", pattern, name)
		}
	})
}
