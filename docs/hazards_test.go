package docs

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hazard is a section of docs/internals/hazards.md.
type hazard struct {
	name, id  string
	dir, test string // the test that holds the protection
	mutation  mutation
	output    []string // what the test says when the protection is gone
}

// mutation takes a protection out of a file.
type mutation struct {
	file     string
	old, new string
}

// parseHazards reads the sections: a heading "## HAZARD" with the id of its
// sentence in triggers.md, a line "- Held by `directory` TestName", and, if the
// protection can be taken out by a few lines, a block of those ("diff") and a
// block of the test's output.
func parseHazards(text string) ([]hazard, error) {
	var all []hazard
	block := ""
	for i, line := range strings.Split(text, "\n") {
		fault := func(what string) error { return fmt.Errorf("docs/internals/hazards.md:%d: %s", i+1, what) }
		if name, ok := strings.CutPrefix(line, "## "); ok && block == "" {
			m := sentenceID.FindStringSubmatch(name)
			if m == nil {
				return nil, fault("the heading has no id: end it with that of the hazard's sentence in triggers.md")
			}
			all = append(all, hazard{name: strings.TrimSpace(strings.TrimSuffix(name, m[0])), id: m[1]})
			continue
		}
		if len(all) == 0 {
			continue
		}
		h := &all[len(all)-1]
		held, isTest := strings.CutPrefix(line, "- Held by `")
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && block != "":
			block = ""
		case isFence:
			block = fence + "text"
		case block == "difftext":
			if err := h.mutation.add(line); err != nil {
				return nil, fault(err.Error())
			}
		case block != "":
			h.output = append(h.output, strings.TrimSpace(line))
		case isTest:
			dir, test, ok := strings.Cut(held, "` ")
			if !ok {
				return nil, fault("want \"- Held by `directory` TestName\"")
			}
			h.dir, h.test = dir, strings.TrimSuffix(test, ".")
		}
	}
	return all, nil
}

func (m *mutation) add(line string) error {
	switch {
	case strings.HasPrefix(line, "--- "):
		m.file = line[4:]
	case strings.HasPrefix(line, "-"):
		m.old += line[1:] + "\n"
	case strings.HasPrefix(line, "+"):
		m.new += line[1:] + "\n"
	default:
		return fmt.Errorf("a diff has no line like %q here", line)
	}
	return nil
}

func readHazards(t *testing.T) []hazard {
	t.Helper()
	all, err := parseHazards(read(t, "internals/hazards.md"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestEveryHazardIsOnThePage: internals/hazards.md has the hazards of triggers.md and no
// other, each with a test that exists and with lines that can be taken out.
func TestEveryHazardIsOnThePage(t *testing.T) {
	ids, _ := sentenceIDs("triggers.md", read(t, "triggers.md"))
	tests := testNames(t, "..")
	for _, h := range readHazards(t) {
		if ids[h.id] == 0 {
			t.Errorf("docs/internals/hazards.md: triggers.md has no sentence %s: give the section %q the id of its hazard there", h.id, h.name)
		}
		delete(ids, h.id)
		if !tests[h.dir+" "+h.test] {
			t.Errorf("docs/internals/hazards.md: %s: there is no test %s %s: name the one that holds it now", h.name, h.dir, h.test)
		}
		if m := h.mutation; m.file != "" {
			if _, err := m.apply(); err != nil {
				t.Errorf("docs/internals/hazards.md: %s: %v: write the protection as it is now into the diff", h.name, err)
			}
			if len(h.output) == 0 {
				t.Errorf("docs/internals/hazards.md: %s: say in a second block what the test says without the protection", h.name)
			}
		}
	}
	for id, line := range ids {
		if strings.HasPrefix(id, "hazard-") {
			t.Errorf("docs/triggers.md:%d: docs/internals/hazards.md has no section for %s: "+
				"add one with its protection, its test, and what the test says without the protection", line, id)
		}
	}
}

// apply returns the file without the protection.
func (m *mutation) apply() ([]byte, error) {
	b, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(m.file)))
	if err != nil {
		return nil, err
	}
	// The last line need not be whole.
	before, after := strings.TrimSuffix(m.old, "\n"), strings.TrimSuffix(m.new, "\n")
	if n := strings.Count(string(b), before); n != 1 {
		return nil, fmt.Errorf("the lines to take out stand %d times in %s, want once", n, m.file)
	}
	return []byte(strings.Replace(string(b), before, after, 1)), nil
}

var takingOut = flag.Bool("take-out", false, "run the tests of the hazards without their protections, which takes minutes")

// TestHazards builds each test anew without the protection that it holds, and
// wants it to fail as the page says. The tree itself is not touched: the
// compiler is given the changed file in place of the real one.
func TestHazards(t *testing.T) {
	if !*takingOut {
		t.Skip("takes minutes; make hazards runs it")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range readHazards(t) {
		if h.mutation.file == "" {
			continue
		}
		t.Run(h.name, func(t *testing.T) {
			changed, err := h.mutation.apply()
			if err != nil {
				t.Fatal(err)
			}
			dir, err := os.MkdirTemp("", "hazard-") //nolint:usetesting // one of the tests becomes another user, who may not enter t.TempDir()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = os.RemoveAll(dir) }()
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			path, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
			list, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, filepath.FromSlash(h.mutation.file)): path}})
			if err != nil {
				t.Fatal(err)
			}
			for name, content := range map[string][]byte{path: changed, overlay: list} {
				if err := os.WriteFile(name, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-count=1", "-v", "-timeout=15s", "-run", "^"+h.test+"$", "./"+h.dir)
			cmd.Dir = root
			cmd.Env = append(os.Environ(), "TMPDIR="+dir, "CGO_ENABLED=0")
			out, err := cmd.CombinedOutput()
			endLeftovers(dir)
			if err == nil {
				t.Fatalf("%s passes without the protection", h.test)
			}
			if strings.Contains(string(out), "build failed") {
				t.Fatalf("it cannot be built:\n%s", out)
			}
			for _, want := range h.output {
				if !strings.Contains(string(out), want) {
					t.Errorf("%s fails, but does not say %q:\n%.4000s", h.test, want, out)
				}
			}
		})
	}
}

// endLeftovers kills the scripts that a test without its protection left
// behind: those whose working directory is below dir.
func endLeftovers(dir string) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if cwd, err := os.Readlink(link); err != nil || !strings.HasPrefix(cwd, dir+"/") {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(link, "/proc/%d/cwd", &pid); err != nil {
			continue
		}
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill()
		}
	}
}
