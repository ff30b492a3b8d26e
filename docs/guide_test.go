package docs

import (
	"fmt"
	"go/format"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// insertion is one step of the guide: code that goes into a file, above or
// below the only line that reads like anchor, or at its end.
type insertion struct {
	file, place, anchor, code string
}

var (
	guideBlock = regexp.MustCompile("(?s)\n```go\n(.*?)\n```\n")
	guideStep  = regexp.MustCompile(`^// (\S+\.go), (?:(above|below): (.+)|at the end:)$`)
	newCommand = regexp.MustCompile(`Name: "(\w+)", Method`)
)

// guideSteps reads the blocks of code of the sections that begin with "Add ":
// each step begins with a line that says where its code goes.
func guideSteps(page string) (steps []insertion, err error) {
	for section := range strings.SplitSeq(page, "\n## ") {
		if !strings.HasPrefix(section, "Add ") {
			continue
		}
		for _, block := range guideBlock.FindAllStringSubmatch(section, -1) {
			before := len(steps)
			for line := range strings.SplitSeq(block[1], "\n") {
				if m := guideStep.FindStringSubmatch(line); m != nil {
					steps = append(steps, insertion{file: m[1], place: m[2], anchor: m[3]})
				} else if len(steps) > before {
					steps[len(steps)-1].code += line + "\n"
				} else {
					return nil, fmt.Errorf("CONTRIBUTING.md: the block that begins with %q does not say where it goes: "+
						"begin it with \"// FILE, above: LINE\", below, or \"// FILE, at the end:\"", line)
				}
			}
		}
	}
	return steps, nil
}

// insert adds the code to the text of its file, and formats it.
func (s insertion) insert(text string) (string, error) {
	lines := strings.Split(text, "\n")
	at, code := len(lines), "\n"+s.code
	if s.anchor != "" {
		is := func(line string) bool { return strings.TrimSpace(line) == s.anchor }
		at, code = slices.IndexFunc(lines, is), strings.TrimSuffix(s.code, "\n")
		if at < 0 || slices.ContainsFunc(lines[at+1:], is) {
			return "", fmt.Errorf("CONTRIBUTING.md: %s must have one line %q", s.file, s.anchor)
		}
	}
	if s.place == "below" {
		at++
	}
	formatted, err := format.Source([]byte(strings.Join(slices.Insert(lines, at, code), "\n")))
	if err != nil {
		return "", fmt.Errorf("CONTRIBUTING.md: the code for %s: %w", s.file, err)
	}
	return string(formatted), nil
}

// changedByGuide carries out the steps of CONTRIBUTING.md; it returns the files
// that they change.
func changedByGuide(t *testing.T) map[string]string {
	t.Helper()
	steps, err := guideSteps(read(t, "../CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, s := range steps {
		if files[s.file] == "" {
			files[s.file] = read(t, filepath.Join("..", filepath.FromSlash(s.file)))
		}
		if files[s.file], err = s.insert(files[s.file]); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) == 0 {
		t.Fatal("CONTRIBUTING.md has no steps to add a command or an event")
	}
	return files
}

// TestGuideFindsItsPlaces: each step says where its code goes, and the place is
// there.
func TestGuideFindsItsPlaces(t *testing.T) {
	changedByGuide(t)
	const code = "package p\n\nvar a = []int{\n\t1,\n\t2,\n\t2,\n}\n"
	for name, tt := range map[string]struct{ block, want string }{
		"above":     {"// a.go, above: 1,\n0,", strings.Replace(code, "\t1,", "\t0,\n\t1,", 1)},
		"below":     {"// a.go, below: 1,\n0,", strings.Replace(code, "\t1,", "\t1,\n\t0,", 1)},
		"end":       {"// a.go, at the end:\nvar b int", code + "\nvar b int\n"},
		"no place":  {"var b int", "does not say where it goes"},
		"no anchor": {"// a.go, above: 3,\n0,", `a.go must have one line "3,"`},
		"two":       {"// a.go, above: 2,\n0,", `a.go must have one line "2,"`},
		"no Go":     {"// a.go, above: 1,\n0", "the code for a.go: "},
	} {
		steps, err := guideSteps("# Title\n\n## Add it\n\n```go\n" + tt.block + "\n```\n\n## More\n")
		got := ""
		if err == nil {
			got, err = steps[0].insert(code)
		}
		if err == nil && got != tt.want || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v\n%s, want\n%s", name, err, got, tt.want)
		}
	}
}

// TestGuide does to a copy of the tree what CONTRIBUTING.md says, and nothing
// else; then `make generate` and the tests that a new command or event can
// break must pass.
func TestGuide(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and tests a copy of the program")
	}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector sees nothing of other processes; make check-generated runs it without")
	}
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("SKIPPED: no make on PATH; the guide of CONTRIBUTING.md is not tried here")
	}
	root := t.TempDir()
	before, byHand := copyTree(t, root), changedByGuide(t)
	for name, text := range byHand {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runIn(t, root, "make", "generate")
	var generated []string
	for name, text := range before {
		if now := read(t, filepath.Join(root, filepath.FromSlash(name))); now != text && byHand[name] == "" {
			generated = append(generated, name)
		}
	}
	slices.Sort(generated)
	t.Logf("written by hand: %q\nby make generate: %q", slices.Sorted(maps.Keys(byHand)), generated)

	// Of cmd/jetstream and triggers, which take minutes, the tests that go
	// through the commands or the events; of other packages all.
	command := newCommand.FindStringSubmatch(read(t, "../CONTRIBUTING.md"))[1]
	runIn(t, root, "go", "test", "-short", "-run", testsOfDeclarations(before)+"|TestEveryCommand/^"+command+"$", "./cmd/jetstream", "./triggers")
	packages := []string{"./docs", "./openapi", "./internal/archtest"}
	for name := range byHand {
		if dir := path.Dir(name); dir != "cmd/jetstream" && dir != "triggers" {
			packages = append(packages, "./"+dir)
		}
	}
	slices.Sort(packages)
	runIn(t, root, "go", append([]string{"test", "-short"}, slices.Compact(packages)...)...)
}

// testsOfDeclarations is a pattern of the tests that go through all commands or
// all events, but for TestEveryCommand.
func testsOfDeclarations(files map[string]string) string {
	var names []string
	for name, text := range files {
		if !strings.HasSuffix(name, "_test.go") {
			continue
		}
		for function := range strings.SplitSeq(text, "\nfunc ") {
			test, _, _ := strings.Cut(function, "(")
			if strings.HasPrefix(test, "Test") && test != "TestEveryCommand" &&
				(strings.Contains(function, "Commands(handlers.Deps{})") || strings.Contains(function, "Definitions()")) {
				names = append(names, "^"+test+"$")
			}
		}
	}
	slices.Sort(names)
	return strings.Join(names, "|")
}

// copyTree copies the repository to root and returns its text files by name.
func copyTree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == ".git" || name == "bin" || d.Name() == "node_modules":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(root, name), 0o700)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files[name] = read(t, filepath.Join("..", name))
		return os.WriteFile(filepath.Join(root, name), []byte(files[name]), info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// runIn runs a command in root; it must succeed.
func runIn(t *testing.T, root, name string, args ...string) {
	t.Helper()
	begin := time.Now()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir = root
	for _, v := range os.Environ() { // not the flags of the make that runs this
		if !strings.HasPrefix(v, "MAKE") && !strings.HasPrefix(v, "MFLAGS") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, "GOFLAGS="+os.Getenv("GOFLAGS")+" -vet=off") // vetted code takes a fifth longer
	output, err := c.CombinedOutput()
	t.Logf("%s (CPU %s): %s", time.Since(begin).Round(time.Second), (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Round(time.Second), c)
	if err != nil {
		t.Fatalf("with the command and the event of CONTRIBUTING.md: %v\n%s", err, output)
	}
}
