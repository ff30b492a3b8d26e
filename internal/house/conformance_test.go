package house

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// claim is one quoted piece of a contract in docs/conformance.md and the tests
// that hold it.
type claim struct {
	line    int
	text    string
	tests   []string // "directory TestName"
	notHeld string   // why no test holds it
}

// parseConformance reads the claims of each contract: a section "## NAME.md",
// in it quotations (lines that begin with "> "), each followed by lines
// "- `directory` TestName, TestOther" or "- not held: why".
func parseConformance(text string) (map[string][]claim, error) {
	contracts, section := map[string][]claim{}, ""
	quoting := false
	for i, line := range strings.Split(text, "\n") {
		claims := contracts[section]
		switch {
		case strings.HasPrefix(line, "## "):
			section, quoting = strings.TrimPrefix(line, "## "), false
		case strings.HasPrefix(line, "> ") && quoting:
			claims[len(claims)-1].text += "\n" + line[2:]
		case strings.HasPrefix(line, "> "):
			contracts[section] = append(claims, claim{line: i + 1, text: line[2:]})
			quoting = true
		case strings.HasPrefix(line, "- ") && len(claims) > 0:
			quoting = false
			c := &claims[len(claims)-1]
			if why, ok := strings.CutPrefix(line, "- not held: "); ok {
				c.notHeld = why
				continue
			}
			dir, names, ok := strings.Cut(strings.TrimPrefix(line, "- `"), "` ")
			if !ok {
				return nil, fmt.Errorf("docs/conformance.md:%d: want \"- `directory` TestName\", got %q", i+1, line)
			}
			for name := range strings.SplitSeq(names, ", ") {
				c.tests = append(c.tests, dir+" "+name)
			}
		default:
			quoting = false
		}
	}
	return contracts, nil
}

// essence is what of a contract's text must be quoted: all but white space and
// the marks of headings, lists and tables.
func essence(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\n|#->", r) {
			return -1
		}
		return r
	}, text)
}

// checkConformance compares the claims of one contract with its text and with
// the tests that there are.
func checkConformance(name, contract string, claims []claim, tests map[string]bool) []finding {
	var out []finding
	rest := essence(contract)
	for _, c := range claims {
		e := essence(c.text)
		if !strings.HasPrefix(rest, e) {
			return append(out, finding{"docs/conformance.md", c.line, fmt.Sprintf(
				"quotes what does not come next in docs/%s; there it goes on with %q", name, rest[:min(len(rest), 80)])})
		}
		rest = rest[len(e):]
		if len(c.tests) == 0 && c.notHeld == "" {
			out = append(out, finding{"docs/conformance.md", c.line, "names no test"})
		}
		for _, test := range c.tests {
			if !tests[test] {
				out = append(out, finding{"docs/conformance.md", c.line, "names a test that is not there: " + test})
			}
		}
	}
	if rest != "" {
		out = append(out, finding{"docs/conformance.md", 0, fmt.Sprintf("ends before docs/%s does, which goes on with %q", name, rest[:min(len(rest), 80)])})
	}
	return out
}

// testNames lists every test, fuzz target and benchmark as "directory Name".
func testNames(house *tree) map[string]bool {
	names := map[string]bool{}
	for _, f := range house.files {
		if !f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && slices.ContainsFunc([]string{"Test", "Fuzz", "Benchmark"},
				func(p string) bool { return strings.HasPrefix(fn.Name.Name, p) }) {
				names[f.dir+" "+fn.Name.Name] = true
			}
		}
	}
	return names
}

// TestConformance holds docs/conformance.md to the contracts and the tests:
// every sentence is quoted, in order, and every test that it names is there.
func TestConformance(t *testing.T) {
	root := moduleRoot(t)
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(root, "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	contracts, err := parseConformance(read("conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	house, err := load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(house)
	for name, claims := range contracts {
		if name == "" {
			continue
		}
		for _, f := range checkConformance(name, read(name), claims, tests) {
			t.Error(f)
		}
	}
	for _, name := range []string{"triggers.md", "api.md"} {
		if len(contracts[name]) == 0 {
			t.Errorf("docs/conformance.md has no section %s", name)
		}
	}
	for _, missing := range unknownTests(read("attacks.md"), tests) {
		t.Errorf("docs/attacks.md names a test that is not there: %s", missing)
	}
}

// unknownTests lists which tests that a page names, in lines
// "- `directory` TestName, TestOther", are not there.
func unknownTests(page string, tests map[string]bool) (missing []string) {
	for line := range strings.Lines(page) {
		dir, names, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "- `")), "` ")
		if !ok || !strings.HasPrefix(line, "- `") {
			continue
		}
		for name := range strings.SplitSeq(names, ", ") {
			if !tests[dir+" "+name] {
				missing = append(missing, dir+" "+name)
			}
		}
	}
	return missing
}

func TestConformanceCanFail(t *testing.T) {
	contract := "# Title\n- One holds. Two holds.\n| a | b |\n"
	tests := map[string]bool{"x TestOne": true}
	if got := unknownTests("- `x` TestOne\n\ntext\n- `x` TestOne, TestTwo\n", tests); !slices.Equal(got, []string{"x TestTwo"}) {
		t.Errorf("unknown tests: %q", got)
	}
	for name, tt := range map[string]struct{ conformance, want string }{
		"all is well": {"## c.md\n> Title\n- `x` TestOne\n\n> One holds.\n- `x` TestOne\n> Two holds.\n> a b\n- not held: why\n", ""},
		"lost":        {"## c.md\n> Title\n- `x` TestOne\n> One holds.\n- `x` TestOne\n", "ends before"},
		"altered":     {"## c.md\n> Title\n- `x` TestOne\n> One held.\n- `x` TestOne\n", "does not come next"},
		"no such":     {"## c.md\n> Title\nOne holds. Two holds. a b\n- `x` TestOne\n", "ends before"},
		"no test":     {"## c.md\n> Title One holds. Two holds. a b\n", "names no test"},
		"gone":        {"## c.md\n> Title One holds. Two holds. a b\n- `x` TestTwo\n", "not there: x TestTwo"},
	} {
		contracts, err := parseConformance(tt.conformance)
		if err != nil {
			t.Fatal(err)
		}
		found := checkConformance("c.md", contract, contracts["c.md"], tests)
		if tt.want == "" && len(found) > 0 || tt.want != "" && (len(found) == 0 || !strings.Contains(found[0].what, tt.want)) {
			t.Errorf("%s: %v, want %q", name, found, tt.want)
		}
	}
}
