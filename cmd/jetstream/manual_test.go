//go:build linux

package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// manual is one reader of pages, with machines of their own.
type manual struct {
	t                     *testing.T
	dir                   string
	machines              map[string]*machine
	at                    *manualBlock
	secondAPI, secondRecv int               // ports of a second server of a machine
	ids                   map[string]string // of a page: those of now
	standing              bool              // machines have users, files and a server when they are first named
}

// pageSteps is what a page wants beside its blocks. Each may be absent.
type pageSteps struct {
	bare bool // nothing is on its machines; else site-a and site-b have users, files and a server
	// before is called ahead of a block and may say why it cannot be run here.
	before func(*manual, *manualBlock) (skip string)
	// after is called with what a block has printed.
	after func(*manual, *manualBlock, string)
	end   func(*manual)
}

// ownMachines are the pages that want machines of their own; all others are read in turn, on
// the same ones.
var ownMachines = map[string]pageSteps{
	"README.md":             {bare: true, end: arrivedByReadme},
	"docs/first-hour.md":    {bare: true},
	"docs/backup.md":        {end: backedUp},
	"docs/send.md":          sendSteps,
	"docs/mend-a-script.md": mendSteps,
}

// TestManual carries out the blocks of README.md and of the manual in their order, as
// manualBlock describes them; a block that says nothing of itself is a fault. Other than for
// a reader, the machines are directories, ports are free ones, passwords are given in
// variables, and what has no end is ended after a second.
func TestManual(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"curl", "openssl", "timeout"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("CI must have %s", name)
			}
			t.Skipf("SKIPPED: no %s here; what the manual tells to type is not tried", name)
		}
	}
	pages := map[string][]manualBlock{}
	var shared []string
	for _, page := range manualPages(t) {
		blocks, faults := parseManual(page, read(t, "../../"+page))
		for _, fault := range faults {
			t.Error(fault)
		}
		pages[page] = blocks
		if _, own := ownMachines[page]; !own && len(blocks) > 0 {
			shared = append(shared, page)
		}
	}
	for page, steps := range ownMachines {
		if len(pages[page]) == 0 {
			t.Errorf("%s has no blocks, but steps for its test", page)
		}
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			m := newManual(t)
			m.standing = !steps.bare
			m.carryOut(pages[page], steps)
		})
	}
	t.Run("others", func(t *testing.T) {
		t.Parallel()
		m := newManual(t)
		m.standing = true
		for _, page := range shared {
			m.turnTo()
			m.carryOut(pages[page], pageSteps{})
		}
	})
}

// backedUp wants the files that docs/backup.md makes.
func backedUp(m *manual) {
	m.t.Helper()
	for _, name := range []string{"monday.tar", "monday.tar.gz", time.Now().Format(time.DateOnly) + ".tar"} {
		if _, err := os.Stat(m.machine("site-a").path("/srv/backup/" + name)); err != nil {
			m.t.Error(err)
		}
	}
}

func newManual(t *testing.T) *manual {
	return &manual{t: t, dir: shortDir(t), machines: map[string]*machine{}, at: &manualBlock{}, secondAPI: freePort(t), secondRecv: freePort(t)}
}

// turnTo forgets what a page has left in the shells and in the trigger directories.
func (m *manual) turnTo() {
	m.ids = nil
	for _, h := range m.machines {
		if err := os.RemoveAll(filepath.Join(h.dir, ".kept")); err != nil {
			m.t.Fatal(err)
		}
		scripts, _ := filepath.Glob(filepath.Join(h.dir, "lib", "triggers", "*"))
		for _, s := range scripts {
			if err := os.RemoveAll(s); err != nil {
				m.t.Fatal(err)
			}
		}
	}
}

// machine returns the machine of a name, which is made when it is first named.
func (m *manual) machine(name string) *machine {
	m.t.Helper()
	if h := m.machines[name]; h != nil {
		return h
	}
	h := &machine{t: m.t, m: m, name: name, dir: filepath.Join(m.dir, name), apiPort: freePort(m.t), recvPort: freePort(m.t)}
	m.machines[name] = h
	if err := os.MkdirAll(filepath.Join(h.dir, "srv"), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if m.standing && (name == "site-a" || name == "site-b") {
		m.stand(h)
	} else if name == "site-a" {
		m.files(h)
	}
	return h
}

// files are what alice has.
func (m *manual) files(h *machine) {
	putFile(m.t, filepath.Join(h.dir, "srv", "media", "reel", "a.mov"), []byte("moving picture"))
	putFile(m.t, filepath.Join(h.dir, "srv", "media", "reel", "b.mov"), []byte("another one"))
}

// stand sets a machine up as first-hour.md does.
func (m *manual) stand(h *machine) {
	m.t.Helper()
	user := "bob"
	if h.name == "site-a" {
		m.files(h)
		user = "alice --sandbox /srv/media"
	}
	h.run("mkdir -p /var/lib/jetstream/triggers\njetstream user add " + user)
	h.serve("--trigger-dir /var/lib/jetstream/triggers --trigger-on-api")
}

func (m *manual) carryOut(blocks []manualBlock, steps pageSteps) {
	m.t.Helper()
	m.ids = map[string]string{}
	for i := range blocks {
		b := &blocks[i]
		m.at = b
		skip := ""
		if steps.before != nil {
			skip = steps.before(m, b)
		}
		if skip == "" {
			if skip = lacking(b); skip != "" && os.Getenv("CI") == "true" {
				m.t.Fatalf("%s, and CI must have it", skip)
			}
		}
		if skip != "" {
			m.t.Run(b.String(), func(t *testing.T) { t.Skip("SKIPPED: " + skip) })
			continue
		}
		out := m.block(b)
		if steps.after != nil {
			steps.after(m, b, out)
		}
	}
	if steps.end != nil {
		steps.end(m)
	}
}

// interpreters run the programs of blocks.
var interpreters = map[string][]string{"python": {"python3", "-"}, "js": {"node", "--input-type=module", "-"}, "go": {"go", "run", "example.go"}}

// lacking says which program the machine of the test lacks for a block.
func lacking(b *manualBlock) string {
	if run, is := interpreters[b.lang]; is && b.file == "" {
		if _, err := exec.LookPath(run[0]); err != nil {
			return "no " + run[0] + " here, so the block of " + b.String() + " was not tried"
		}
	}
	return ""
}

// block carries out or checks one block and returns what it has printed.
func (m *manual) block(b *manualBlock) string {
	m.t.Helper()
	h := m.machine(b.machine)
	switch {
	case b.file != "":
		putScript(m.t, h.path(b.file), h.here(b.text))
		if !strings.HasPrefix(b.text, "#!") {
			if err := os.Chmod(h.path(b.file), 0o600); err != nil {
				m.t.Fatal(err)
			}
		}
		if b.lang == "conf" {
			h.run("jetstream server --check --config " + b.file)
		}
	case b.lang == "sh":
		return h.script(b.text)
	case b.lang == "crontab":
		return h.script(regexp.MustCompile(`(?m)^[0-9*]+ +[0-9*]+ +\* \* \* +`).ReplaceAllString(b.text, ""))
	case b.lang == "console":
		h.converse(b)
	case b.lang == "conf":
		putFile(m.t, filepath.Join(h.dir, "example.conf"), []byte(h.here(b.text)))
		h.run("jetstream server --check --config example.conf")
	case b.lang == "json":
		if !json.Valid([]byte(b.text)) {
			m.t.Errorf("%s is no JSON:\n%s", b, b.text)
		}
	default:
		run := interpreters[b.lang]
		if b.lang == "go" {
			putFile(m.t, filepath.Join(h.dir, "example.go"), []byte(h.here(b.text)))
			return h.run("cd; " + strings.Join(run, " "))
		}
		return h.run(strings.Join(run, " ") + " <<'END OF BLOCK'\n" + b.text + "END OF BLOCK\n")
	}
	return ""
}

// arrivedByReadme looks at what README.md says is there at the end.
func arrivedByReadme(m *manual) {
	site := m.machine("site-b")
	if got := read(m.t, site.path("/var/lib/jetstream/files/bob/incoming/reel/a.mov")); got != "moving picture" {
		m.t.Errorf("README.md says that the reel is at site-b: %q", got)
	}
}

// TestManualIndex: docs/README.md names every page.
func TestManualIndex(t *testing.T) {
	index := read(t, "../../docs/README.md")
	for _, page := range manualPages(t) {
		name := strings.TrimPrefix(page, "docs/")
		if strings.HasSuffix(page, "README.md") {
			continue
		}
		if !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/README.md does not name %s: add a line for it", name)
		}
	}
	links := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, page := range append(manualPages(t), "docs/internals/README.md") {
		for _, link := range links.FindAllStringSubmatch(read(t, "../../"+page), -1) {
			if _, err := os.Stat(filepath.Join("../..", filepath.Dir(page), link[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, link[1], err)
			}
		}
	}
	if pages := manualPages(t); !slices.Contains(pages, "docs/README.md") {
		t.Errorf("the manual has no index: %q", pages)
	}
}

// TestFailuresAreOfTheProgram: each message that docs/failures.md explains stands in the source;
// "..." there is what differs.
func TestFailuresAreOfTheProgram(t *testing.T) {
	var source strings.Builder
	for _, dir := range []string{"cmd/jetstream", "internal", "middleware", "handlers", "triggers"} {
		err := filepath.WalkDir("../../"+dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source.WriteString(read(t, path))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	program := strings.ReplaceAll(source.String(), "\"+\n\t\t\t\"", "")
	messages := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(read(t, "../../docs/failures.md"), -1)
	if len(messages) < 20 {
		t.Fatalf("only %d messages were found in the tables", len(messages))
	}
	for _, m := range messages {
		for part := range strings.SplitSeq(m[1], "...") {
			if !strings.Contains(program, strings.TrimSpace(part)) {
				t.Errorf("docs/failures.md explains %q, but the program does not say %q: write what it says now", m[1], part)
			}
		}
	}
}
