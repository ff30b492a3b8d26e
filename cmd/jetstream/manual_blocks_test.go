package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// manualBlock is a fenced block of a page. The words after its three backticks say what
// it is, and what TestManual does with it:
//
//	sh [MACHINE]         commands, which must succeed on that machine (site-a unless one is named)
//	crontab [MACHINE]    lines of a crontab, carried out one after the other
//	console [MACHINE]    "$ COMMAND" and what it prints; "..." stands for any text
//	ANY [MACHINE] /PATH  a file, which is put there, executable where it begins with #!
//	conf                 settings of a server, which jetstream server --check takes
//	python, js, go       a program, which must succeed on site-a
//	json                 must be JSON
//	ANY not run: WHY     none of this
type manualBlock struct {
	page    string
	line    int
	heading string // of the section
	lang    string
	machine string
	file    string
	text    string
}

func (b *manualBlock) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// manualKinds are the kinds of blocks that are carried out or checked.
var manualKinds = []string{"sh", "crontab", "console", "conf", "python", "js", "go", "json"}

var (
	machineName = regexp.MustCompile(`^[a-z]+(-[a-z])?$`)
	listItem    = regexp.MustCompile(`^\s*([-*]|\d+\.) `)
)

// parseManual reads the blocks of a page that are to be carried out or checked, and says
// which code is not marked.
func parseManual(page, text string) (blocks []manualBlock, faults []string) {
	var open *manualBlock
	heading, before, indent, runs := "", "", "", false
	for i, line := range strings.Split(text, "\n") {
		fault := func(what string) { faults = append(faults, fmt.Sprintf("%s:%d: %s", page, i+1, what)) }
		bare := strings.TrimLeft(line, " ")
		info, fence := strings.CutPrefix(bare, "```")
		switch {
		case open != nil && fence && info == "":
			if runs {
				blocks = append(blocks, *open)
			}
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		case fence:
			open = &manualBlock{page: page, line: i + 1, heading: heading}
			indent = line[:len(line)-len(bare)]
			var what string
			if runs, what = open.mark(info); what != "" {
				fault(what)
			}
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		case (strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")) && before == "" && !listItem.MatchString(line):
			fault("code is indented: put it between ```sh and ```, so that it is carried out")
		}
		before = strings.TrimSpace(line)
	}
	if open != nil {
		faults = append(faults, fmt.Sprintf("%s: the block is not closed", open))
	}
	return blocks, faults
}

// mark reads the words after the backticks. Whatever is wrong with them is returned.
func (b *manualBlock) mark(info string) (runs bool, fault string) {
	if lang, why, not := strings.Cut(info, " not run:"); not {
		if lang == "" || strings.TrimSpace(why) == "" {
			return false, "say why the block is not run: ```sh not run: WHY"
		}
		return false, ""
	}
	words := strings.Fields(info)
	if len(words) == 0 {
		return false, "the block does not say what it is: ```sh is carried out; the others are " + strings.Join(manualKinds, ", ") + ", or ```text not run: WHY"
	}
	b.lang, b.machine = words[0], "site-a"
	rest := words[1:]
	if len(rest) > 0 && machineName.MatchString(rest[0]) {
		b.machine, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 && strings.HasPrefix(rest[0], "/") {
		b.file, rest = rest[0], rest[1:]
	}
	switch {
	case len(rest) > 0:
		return false, fmt.Sprintf("%q is neither a machine nor an absolute path", rest[0])
	case b.file == "" && !slices.Contains(manualKinds, b.lang):
		return false, fmt.Sprintf("nothing is done with a block of %s: write ```%[1]s /PATH where it is a file, or ```%[1]s not run: WHY; carried out are %s",
			b.lang, strings.Join(manualKinds, ", "))
	}
	return true, ""
}

// manualPages are README.md and the pages of docs/, but not those of docs/internals/.
func manualPages(t *testing.T) (pages []string) {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, f := range append(files, "../../README.md") {
		pages = append(pages, filepath.ToSlash(strings.TrimPrefix(f, "../../")))
	}
	return pages
}

func TestParseManual(t *testing.T) {
	for text, want := range map[string]string{
		"```sh\nx\n```":                          "sh site-a  x",
		"```sh site-b\nx\n```":                   "sh site-b  x",
		"- item\n\n  ```sh\n  x\n  ```":          "sh site-a  x",
		"```bat site-b /d/launch\nx\n```":        "bat site-b /d/launch x",
		"```sh not run: takes an hour\nx\n```":   "",
		"a list:\n\n    - of items\n":            "",
		"text:\n\n    x\n":                       "p.md:3: code is indented",
		"```\nx\n```":                            "p.md:1: the block does not say what it is",
		"```rust\nx\n```":                        "p.md:1: nothing is done with a block of rust",
		"```sh not run:\nx\n```":                 "p.md:1: say why the block is not run",
		"```sh site-b path\nx\n```":              `p.md:1: "path" is neither`,
		"```sh\nx":                               "p.md:1: the block is not closed",
		"```python /x/launch\n    x\n```\nend\n": "python site-a /x/launch     x",
	} {
		blocks, faults := parseManual("p.md", text)
		got := strings.Join(faults, "\n")
		for _, b := range blocks {
			got += strings.TrimSuffix(strings.Join([]string{b.lang, b.machine, b.file, b.text}, " "), "\n")
		}
		if got != want && (want == "" || !strings.HasPrefix(got, want) || len(faults) != 1) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
