//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"jetstream/handlers"
	"jetstream/triggers"
)

// manPage is a page in the macros of man(7).
type manPage struct {
	name, section string
	strings.Builder
}

// manPages are the pages of docs/man, made of the declarations of flags, commands and events
// and, of the promises to a script, of docs/triggers.md.
func manPages(t *testing.T) []*manPage {
	t.Helper()
	root, apiRoot := grammars(t)
	pages := []*manPage{
		programPage(root, apiRoot.Flags), commandPage(child(t, root, "server"), "jetstream-server"), apiPage(apiRoot),
		commandPage(child(t, root, "send"), "jetstream-send"), triggersPage(read(t, "../../docs/triggers.md")),
	}
	for _, page := range pages {
		page.heading("SEE ALSO")
		var others []string
		for _, other := range pages {
			if other != page {
				others = append(others, `\fB`+roff(other.name)+`\fR(`+other.section+`)`)
			}
		}
		page.line(strings.Join(others, ",\n"))
	}
	return pages
}

// grammars are those of the program and of jetstream api.
func grammars(t *testing.T) (root, apiRoot *kong.Node) {
	t.Helper()
	p := &program{Getenv: func(string) string { return "" }}
	root, err := p.model(&cli{}, kong.Name("jetstream"), kong.Vars{
		"default_state_dir": "/var/lib/jetstream/state for root, else ~/.local/state/jetstream/state", "output": "table",
	})
	if err != nil {
		t.Fatal(err)
	}
	nameVariables(root)
	apiRoot, err = p.model(&apiGrammar{}, apiOptions(handlers.Commands(handlers.Deps{}))...)
	if err != nil {
		t.Fatal(err)
	}
	nameVariables(apiRoot)
	return root, apiRoot
}

func child(t *testing.T, n *kong.Node, name string) *kong.Node {
	t.Helper()
	i := slices.IndexFunc(n.Children, func(c *kong.Node) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no command %s", name)
	}
	return n.Children[i]
}

func newManPage(name, section, about string) *manPage {
	p := &manPage{name: name, section: section}
	p.line(`.\" Made by make generate: change the declarations, not this file.`)
	p.line(fmt.Sprintf(`.TH %s %s "" "JetStream" "JetStream manual"`, strings.ToUpper(roff(name)), section))
	p.heading("NAME")
	p.line(roff(name) + ` \- ` + roff(about))
	return p
}

func (p *manPage) line(text string) { p.WriteString(text + "\n") }

func (p *manPage) heading(text string) { p.line(".SH " + text) }

// paragraph writes text with the marks of Markdown that are used here.
func (p *manPage) paragraph(text string) {
	if !p.headed() {
		p.line(".PP")
	}
	p.line(marked(text))
}

// headed says whether a heading was written last.
func (p *manPage) headed() bool {
	lines := strings.Split(strings.TrimSuffix(p.String(), "\n"), "\n")
	return strings.HasPrefix(lines[len(lines)-1], ".S")
}

// item is a term and what it means.
func (p *manPage) item(term, text string) {
	p.line(".TP")
	p.line(term)
	p.line(marked(text))
}

// example is shown as it stands.
func (p *manPage) example(text string) {
	p.line(".PP\n.RS 4\n.nf")
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		p.line(guarded(roff(strings.TrimRight(line, "\n"))))
	}
	p.line(".fi\n.RE")
}

// roff escapes text.
func roff(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
}

// guarded keeps a line from being taken for a request.
func guarded(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

var manMarks = regexp.MustCompile("`[^`]+`|\\*\\*.+?\\*\\*|\\[[^\\]]+\\]\\([^)]+\\)|<br>")

// marked converts code, bold text and links.
func marked(text string) string {
	var b strings.Builder
	at := 0
	for _, m := range manMarks.FindAllStringIndex(text, -1) {
		b.WriteString(roff(text[at:m[0]]))
		switch mark := text[m[0]:m[1]]; {
		case mark[0] == '[':
			label, _, _ := strings.Cut(mark[1:], "]")
			b.WriteString(roff(label))
		case mark == "<br>":
			b.WriteString("\n.br\n")
		default:
			bare := strings.Trim(mark, mark[:1])
			b.WriteString(`\fB` + roff(strings.NewReplacer(`\<`, "<", `\>`, ">").Replace(bare)) + `\fR`)
		}
		at = m[1]
	}
	b.WriteString(roff(text[at:]))
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	for i, line := range lines {
		if line = strings.TrimLeft(line, " "); line != ".br" {
			line = guarded(line)
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

// flags describes those of a command.
func (p *manPage) flags(flags []*kong.Flag) {
	for _, f := range flags {
		if f.Hidden || f.Name == "help" {
			continue
		}
		term := `\fB` + roff("--"+f.Name) + `\fR`
		switch {
		case f.PlaceHolder != "":
			term += ` \fI` + roff(f.PlaceHolder) + `\fR`
		case !f.IsBool():
			words := strings.Split(f.Name, "-")
			term += ` \fI` + roff(strings.ToUpper(words[len(words)-1])) + `\fR`
		}
		text := f.Help
		if f.HasDefault && f.Default != "" && f.Default != "false" && !strings.Contains(text, "("+f.Default) {
			text += " Default: `" + f.Default + "`."
		}
		if len(f.Envs) > 0 {
			text += " Variable: `" + strings.Join(f.Envs, "`, `") + "`."
		}
		p.item(term, text)
	}
}

// arguments are the words of a command line after its name.
func arguments(n *kong.Node) string {
	text := `\fB` + roff(n.FullPath()) + `\fR`
	if len(n.Flags) > 0 {
		text += ` [\fIFLAG\fR]...`
	}
	if len(n.Children) > 0 {
		text += ` \fICOMMAND\fR`
	}
	for _, arg := range n.Positional {
		name := `\fI` + roff(strings.ToUpper(arg.Name)) + `\fR`
		if arg.IsCumulative() {
			name += "..."
		}
		if !arg.Required {
			name = "[" + name + "]"
		}
		text += " " + name
	}
	return text
}

// detail writes the help of a command beyond its flags: text, and examples that are indented.
func (p *manPage) detail(text string) {
	for part := range strings.SplitSeq(text, "\n\n") {
		if code, is := strings.CutPrefix(part, "    "); is {
			p.example(strings.ReplaceAll(code, "\n    ", "\n"))
		} else if part != "" {
			p.paragraph(strings.ReplaceAll(part, "\n", " "))
		}
	}
}

func (p *manPage) exitStatus() {
	p.heading("EXIT STATUS")
	p.item("0", "Done.")
	p.item("1", "Refused or failed; standard error says why.")
	p.item("2", "Wrong usage.")
}

func lowered(help string) string {
	help = strings.TrimSuffix(help, ".")
	return strings.ToLower(help[:1]) + help[1:]
}

// commandPage is the page of one command.
func commandPage(n *kong.Node, name string) *manPage {
	p := newManPage(name, "1", lowered(n.Help))
	p.heading("SYNOPSIS")
	p.line(arguments(n))
	p.heading("DESCRIPTION")
	p.paragraph(n.Help)
	p.detail(n.Detail)
	for _, arg := range n.Positional {
		p.item(`\fI`+roff(strings.ToUpper(arg.Name))+`\fR`, arg.Help)
	}
	p.heading("OPTIONS")
	p.flags(n.Flags)
	p.exitStatus()
	return p
}

// programPage is jetstream(1): all commands but those with pages of their own.
func programPage(root *kong.Node, common []*kong.Flag) *manPage {
	p := newManPage("jetstream", "1", "moves files between sites and runs your scripts on everything that happens")
	p.heading("SYNOPSIS")
	p.line(arguments(root))
	p.heading("COMMANDS")
	for _, n := range root.Children {
		if n.Hidden {
			continue
		}
		if slices.Contains([]string{"server", "api", "send"}, n.Name) {
			p.item(`\fB`+roff(n.FullPath())+`\fR`, n.Help+" See **jetstream-"+n.Name+"**(1).")
			continue
		}
		p.line(".SS " + roff(n.FullPath()))
		p.paragraph(n.Help)
		p.detail(n.Detail)
		p.leaves(n, common)
	}
	p.heading("COMMON OPTIONS")
	p.paragraph("Most commands that call a server take these; `--help` of a command lists all that it takes.")
	p.flags(common)
	p.exitStatus()
	p.heading("FILES")
	p.item(roff("/etc/jetstream/server.conf"), "Settings of the server and, for the other commands, where its state is.")
	p.item(roff("/var/lib/jetstream/state"), "State of a server of root: database, keys, control socket. Of another user: `~/.local/state/jetstream/state`.")
	return p
}

// leaves describes a command's arguments and those of its flags that are not common ones, and
// the commands below it.
func (p *manPage) leaves(n *kong.Node, common []*kong.Flag) {
	if len(n.Children) == 0 {
		p.line(".PP\n" + arguments(n))
		own := slices.DeleteFunc(slices.Clone(n.Flags), func(f *kong.Flag) bool {
			return f.Hidden || f.Name == "help" ||
				slices.ContainsFunc(common, func(c *kong.Flag) bool { return c.Name == f.Name && cutForm(c.Help) == cutForm(f.Help) })
		})
		if len(own) > 0 {
			p.line(".RS 4")
			p.flags(own)
			p.line(".RE")
		}
		return
	}
	for _, c := range n.Children {
		if c.Hidden {
			continue
		}
		if len(c.Children) == 0 {
			p.paragraph(c.Help)
		}
		p.leaves(c, common)
	}
}

// cutForm is a help without the default in brackets at its end.
func cutForm(help string) string {
	before, _, _ := strings.Cut(help, " (")
	return before
}

// apiPage is jetstream-api(1), with each command and its parameters.
func apiPage(root *kong.Node) *manPage {
	p := newManPage("jetstream-api", "1", "carry out one command of the control API")
	p.heading("SYNOPSIS")
	p.line(`\fBjetstream api\fR [\fIFLAG\fR]... \fICOMMAND\fR [\fB\-\-\fIPARAMETER\fR=\fIVALUE\fR]...`)
	p.heading("DESCRIPTION")
	p.paragraph(root.Help)
	p.heading("OPTIONS")
	p.flags(root.Flags)
	p.heading("COMMANDS")
	for _, c := range handlers.Commands(handlers.Deps{}).All() {
		p.line(".SS " + roff(c.Name))
		p.paragraph(c.Summary + ". " + c.Description)
		p.paragraph("`" + c.Method + " /api/v1" + c.Path + "`, for " + accessText(c.Access) + ".")
		for _, f := range c.Params {
			name, text, _ := strings.Cut(parameterText(f), ": ")
			_, notes, _ := strings.Cut(name, " ")
			if notes != "" {
				text += " " + notes
			}
			p.item(`\fB`+roff("--"+f.Name)+`\fR`, text)
		}
	}
	p.exitStatus()
	return p
}

var sentenceMark = regexp.MustCompile(` ?<!-- [^>]+ -->$`)

// triggersPage is jetstream-triggers(7): the events, and what docs/triggers.md promises.
func triggersPage(contract string) *manPage {
	p := newManPage("jetstream-triggers", "7", "scripts that run on what happens in a JetStream server")
	p.heading("EVENTS")
	command := triggers.Command("<command>").Definition
	command.Summary = "An API command was processed (with `--trigger-on-api`)"
	for _, d := range append(triggers.Definitions(), command) {
		text := strings.TrimSuffix(d.Summary, ".") + "."
		for i, f := range d.Params {
			text += fmt.Sprintf("<br>$%d `%s`: %s", i+1, f.Name, f.Doc)
		}
		if d.FileList {
			text += "<br>Standard input: a line a file, its name, TAB, its absolute path."
		}
		p.item(`\fB`+roff(d.Name)+`\fR`, text)
	}
	p.heading("EXAMPLE")
	p.paragraph("A script lies in the directory of `--trigger-dir`, has the name of its event, and is executable:")
	p.example("$ cat /var/lib/jetstream/triggers/recv.transferComplete\n#!/bin/sh\ntab=$(printf '\\t')\n" +
		"while IFS=\"$tab\" read -r name path; do\n  echo \"$name is at $path\"\ndone >> arrived.txt\n$ jetstream trigger check /var/lib/jetstream/triggers\n$ jetstream trigger runs")
	for section := range strings.SplitSeq(contract, "\n## ") {
		title, text, _ := strings.Cut(section, "\n")
		if _, name, numbered := strings.Cut(title, ". "); numbered && name != "Events" {
			p.heading(strings.ToUpper(roff(name)))
			text, _, _ = strings.Cut(text, "\nHazards, ")
			p.promises(text)
		}
	}
	return p
}

// promises writes lines of a contract without their ids.
func (p *manPage) promises(text string) {
	for line := range strings.Lines(text) {
		line = sentenceMark.ReplaceAllString(strings.TrimRight(line, "\n"), "")
		switch item, is := strings.CutPrefix(line, "- "); {
		case strings.TrimSpace(line) == "":
		case is:
			p.line(".IP \\(bu 2")
			p.line(marked(item))
		case strings.HasPrefix(line, " "):
			p.line(marked(line))
		default:
			p.paragraph(line)
		}
	}
}

// TestManPagesAreFresh holds that the pages of docs/man are what the declarations say; with
// -update it writes them.
func TestManPagesAreFresh(t *testing.T) {
	want := map[string]bool{}
	for _, p := range manPages(t) {
		path := filepath.Join("..", "..", "docs", "man", p.name+"."+p.section)
		want[path] = true
		if *update {
			if err := os.WriteFile(path, []byte(p.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if committed, err := os.ReadFile(path); err != nil || strings.ReplaceAll(string(committed), "\r\n", "\n") != p.String() {
			t.Errorf("%s is stale: run `make generate` (%v)", path, err)
		}
	}
	files, err := filepath.Glob("../../docs/man/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !want[filepath.FromSlash(f)] {
			t.Errorf("%s is not made any more: remove it", f)
		}
	}
}

// TestManPagesAreValid: the programs that show such pages find no fault in them.
func TestManPagesAreValid(t *testing.T) {
	var check []string
	switch {
	case has("mandoc"):
		check = []string{"mandoc", "-T", "lint", "-W", "error"}
	case has("groff"):
		check = []string{"groff", "-man", "-k", "-Tutf8", "-ww", "-rCHECKSTYLE=3", "-z"}
	default:
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must have mandoc or groff")
		}
		t.Skip("SKIPPED: neither mandoc nor groff here; the man pages were not tried")
	}
	for _, p := range manPages(t) {
		cmd := exec.Command(check[0], check[1:]...)
		cmd.Stdin = strings.NewReader(p.String())
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil || out.Len() > 0 {
			t.Errorf("%s: %s: %v\n%.2000s", p.name, cmd, err, out.String())
		}
	}
}

func has(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// TestFlagsOfTheManual: the flags that the pages name in their text are there.
func TestFlagsOfTheManual(t *testing.T) {
	known := map[string]bool{"help": true, "version": true, "filter": true} // the last is of split
	var walk func(*kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			known[f.Name] = true
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	root, apiRoot := grammars(t)
	walk(root)
	walk(apiRoot)
	for _, c := range handlers.Commands(handlers.Deps{}).All() {
		for _, f := range c.Params {
			known[f.Name] = true
		}
	}
	code := regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	flag := regexp.MustCompile("(?m)(?:^|[ `(])--([a-zA-Z][a-zA-Z0-9-]*)")
	for _, page := range manualPages(t) {
		if slices.Contains([]string{"docs/coming-from.md", "docs/compared.md", "docs/performance.md", "docs/container.md", "docs/install.md"}, page) { // with those of other programs
			continue
		}
		for _, m := range flag.FindAllStringSubmatch(code.ReplaceAllString(read(t, "../../"+page), ""), -1) {
			if !known[m[1]] {
				t.Errorf("%s names --%s, which no command has", page, m[1])
			}
		}
	}
}
