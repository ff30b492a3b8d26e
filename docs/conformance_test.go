package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// A sentence of a contract ends with its id.
	sentenceID = regexp.MustCompile(`<!-- ([\w.-]+) -->$`)
	// A row of a table, and a row of conformance.md, begins with its id.
	rowID = regexp.MustCompile("^\\| `([^`]+)` \\|")
	// The rows of a generated table are held together, under its name.
	generatedTable = regexp.MustCompile(`^<!-- generated: ([\w.-]+) -->$`)
	endOfTable     = regexp.MustCompile(`^<!-- end: [\w.-]+ -->$`)
	// The tests of one directory, as conformance.md and attacks.md list them.
	testList = regexp.MustCompile("^`([^`]+)` (\\w+(?:, \\w+)*)$")
	// A table's head and the line below it.
	tableHead = regexp.MustCompile(`^\| \w|^\| ---`)
	testFunc  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w*)\(`)
)

// sentenceIDs returns the ids of a contract page with their lines, and says
// which lines have none.
func sentenceIDs(name, page string) (ids map[string]int, faults []string) {
	ids = map[string]int{}
	inGenerated := false
	for i, line := range strings.Split(page, "\n") {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Sprintf("docs/%s:%d: ", name, i+1)+fmt.Sprintf(format, args...))
		}
		id := ""
		switch {
		case endOfTable.MatchString(line):
			inGenerated = false
			continue
		case generatedTable.MatchString(line):
			inGenerated = true
			id = generatedTable.FindStringSubmatch(line)[1]
		case inGenerated, line == "", strings.HasPrefix(line, "#"), tableHead.MatchString(line):
			continue
		default:
			for _, form := range []*regexp.Regexp{sentenceID, rowID} {
				if m := form.FindStringSubmatch(line); m != nil {
					id = m[1]
				}
			}
		}
		switch {
		case id == "":
			fault("this sentence has no id: end the line with <!-- two-or-three-words --> that say what it is about, " +
				"and add a row with these words to docs/internals/conformance.md")
		case ids[id] != 0:
			fault("the id %s is that of line %d already: choose another for the newer of the two", id, ids[id])
		default:
			ids[id] = i + 1
		}
	}
	return ids, faults
}

// entry is a row of conformance.md: a sentence and what holds it.
type entry struct {
	line    int
	tests   []string // "directory TestName"
	notHeld string   // why no test holds it, or not all of it
}

// parseConformance reads the rows "| `id` | `directory` TestA, TestB; not held:
// why |" below each heading "## page.md".
func parseConformance(text string) (pages map[string]map[string]entry, faults []string) {
	pages = map[string]map[string]entry{}
	page := ""
	for i, line := range strings.Split(text, "\n") {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Sprintf("docs/internals/conformance.md:%d: ", i+1)+fmt.Sprintf(format, args...))
		}
		if name, ok := strings.CutPrefix(line, "## "); ok {
			page = name
			pages[page] = map[string]entry{}
		}
		m := rowID.FindStringSubmatch(line)
		if m == nil || page == "" {
			continue
		}
		if _, twice := pages[page][m[1]]; twice {
			fault("%s has a row already: keep one", m[1])
		}
		e := entry{line: i + 1}
		cell := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(line, m[0]), "|"))
		cell, e.notHeld, _ = strings.Cut(cell, "not held: ")
		for part := range strings.SplitSeq(cell, "; ") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			tests, ok := testsOf(part)
			if !ok {
				fault("write the tests of %s as `directory` TestA, TestB; `other` TestC; not held: why", m[1])
			}
			e.tests = append(e.tests, tests...)
		}
		if len(e.tests) == 0 && e.notHeld == "" {
			fault("%s names no test: name those that hold it, or say \"not held: \" and why not", m[1])
		}
		pages[page][m[1]] = e
	}
	return pages, faults
}

func testsOf(list string) (tests []string, ok bool) {
	m := testList.FindStringSubmatch(list)
	if m == nil {
		return nil, false
	}
	for name := range strings.SplitSeq(m[2], ", ") {
		tests = append(tests, m[1]+" "+name)
	}
	return tests, true
}

// checkConformance compares conformance.md with the contract pages, by name,
// and with the tests that there are.
func checkConformance(conformance string, contracts map[string]string, tests map[string]bool) []string {
	pages, faults := parseConformance(conformance)
	for name, text := range contracts {
		ids, more := sentenceIDs(name, text)
		faults = append(faults, more...)
		for id, line := range ids {
			if _, ok := pages[name][id]; !ok {
				faults = append(faults, fmt.Sprintf("docs/%s:%d: no test is named for this sentence: "+
					"add the row \"| `%s` | `directory` TestName |\" to the section %s of docs/internals/conformance.md", name, line, id, name))
			}
		}
		for id, e := range pages[name] {
			if ids[id] == 0 {
				faults = append(faults, fmt.Sprintf("docs/internals/conformance.md:%d: docs/%s has no sentence %s: "+
					"give it its id back, or remove this row if the sentence is gone", e.line, name, id))
			}
			for _, test := range e.tests {
				if !tests[test] {
					faults = append(faults, fmt.Sprintf("docs/internals/conformance.md:%d: there is no test %s: "+
						"name the one that holds %s now", e.line, test, id))
				}
			}
		}
	}
	slices.Sort(faults)
	return faults
}

// checkAttacks finds tests named in attacks.md, in lines "- `directory` TestA,
// TestB", that do not exist.
func checkAttacks(page string, tests map[string]bool) (faults []string) {
	for i, line := range strings.Split(page, "\n") {
		item, _ := strings.CutPrefix(line, "- ")
		named, _ := testsOf(item)
		for _, test := range named {
			if !tests[test] {
				faults = append(faults, fmt.Sprintf("docs/internals/attacks.md:%d: there is no test %s: name the one that holds this now", i+1, test))
			}
		}
	}
	return faults
}

// testNames finds every test, fuzz target and benchmark below root, whatever
// its build tags, as "directory Name".
func testNames(t *testing.T, root string) map[string]bool {
	names := map[string]bool{}
	fsys := os.DirFS(root)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (base == "testdata" || base == "node_modules" || base == "bin" || len(base) > 1 && base[0] == '.'):
			return fs.SkipDir
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		source, err := fs.ReadFile(fsys, name)
		for _, m := range testFunc.FindAllSubmatch(source, -1) {
			names[path.Dir(name)+" "+string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestConformance: every sentence of the contract has an id, a row in
// conformance.md, and tests that exist; so has every test in attacks.md.
func TestConformance(t *testing.T) {
	tests := testNames(t, "..")
	contracts := map[string]string{"triggers.md": read(t, "triggers.md"), "api.md": read(t, "api.md")}
	for _, fault := range checkConformance(read(t, "internals/conformance.md"), contracts, tests) {
		t.Error(fault)
	}
	for _, fault := range checkAttacks(read(t, "internals/attacks.md"), tests) {
		t.Error(fault)
	}
}

func TestConformanceCanFail(t *testing.T) {
	const (
		contract = "# Title\n\nOne. <!-- one -->\n- Two. <!-- two -->\n\n" +
			"| event | when |\n| --- | --- |\n| `on.<command>` | a | b |\n\n" +
			"<!-- generated: list -->\n| a |\n| --- |\n| `x` |\n<!-- end: list -->\n"
		rows = "## c.md\n| id | held by |\n| --- | --- |\n| `one` | `x` TestOne, TestTwo; not held: half; of it |\n" +
			"| `two` | not held: why |\n| `on.<command>` | `x` TestOne; `y/z` FuzzOne |\n| `list` | `x` TestOne |\n"
	)
	tests := map[string]bool{"x TestOne": true, "x TestTwo": true, "y/z FuzzOne": true}
	for name, tt := range map[string]struct{ contract, conformance, want string }{
		"all is well":       {contract, rows, ""},
		"reworded":          {strings.Replace(contract, "Two.", "Second.", 1), rows, ""},
		"no id":             {contract + "Three.\n", rows, "docs/c.md:15: this sentence has no id"},
		"id used twice":     {contract + "Three. <!-- one -->\n", rows, "docs/c.md:15: the id one is that of line 3 already"},
		"no row":            {contract + "Three. <!-- three -->\n", rows, "add the row \"| `three` | "},
		"no row for events": {contract + "\n| `launch` | start |\n", rows, "add the row \"| `launch` | "},
		"no sentence":       {contract, rows + "| `three` | `x` TestOne |\n", "docs/internals/conformance.md:8: docs/c.md has no sentence three"},
		"row twice":         {contract, rows + "| `two` | `x` TestOne |\n", "two has a row already"},
		"no such test":      {contract, strings.Replace(rows, "TestTwo", "TestSix", 1), "docs/internals/conformance.md:4: there is no test x TestSix"},
		"no test":           {contract, strings.Replace(rows, "not held: why", "", 1), "two names no test"},
		"bad list":          {contract, strings.Replace(rows, "`x` TestOne,", "x TestOne,", 1), "write the tests of one as"},
	} {
		t.Run(name, func(t *testing.T) {
			got := checkConformance(tt.conformance, map[string]string{"c.md": tt.contract}, tests)
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Errorf("faults %q, want one that says %q", got, tt.want)
			}
		})
	}
	got := checkAttacks("- `x` TestOne\n\ntext\n- `x` TestOne, TestSix\n", tests)
	if len(got) != 1 || !strings.Contains(got[0], "docs/internals/attacks.md:4: there is no test x TestSix") {
		t.Errorf("attacks: %q", got)
	}
}
