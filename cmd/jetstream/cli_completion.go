package main

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/server"
)

// completionScripts holds the shell scripts, which call `jetstream complete`.
//
//go:embed completion
var completionScripts embed.FS

// completionCmd is jetstream completion.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints the script.
func (c *completionCmd) Run(p *program) error {
	text, err := completionScripts.ReadFile("completion/jetstream." + c.Shell)
	if err == nil {
		_, err = p.Stdout.Write(text)
	}
	return err
}

// completeCmd is jetstream complete, which the scripts call with the words
// typed so far, the last one unfinished. It prints the candidates for the last,
// one a line, each with a tab and a description; none where a file is expected.
type completeCmd struct {
	Words []string `arg:"" optional:""`
}

// Run prints the candidates.
func (c *completeCmd) Run(p *program) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	place, err := p.completionRoot()
	if err != nil {
		return err
	}
	for _, s := range place.complete(words) {
		if _, err := fmt.Fprintf(p.Stdout, "%s\t%s\n", s.word, s.about); err != nil {
			return err
		}
	}
	return nil
}

type suggestion struct{ word, about string }

// place is the position in the grammar that the finished words lead to.
type place struct {
	node *kong.Node
	// enums are the values of parameters that have a fixed set, by flag.
	enums map[string][]string
	// enter returns the place in a command's separate grammar; nil if it has none.
	enter func(command string) *place
}

func (p *program) completionRoot() (*place, error) {
	root, err := p.model(&cli{}, kong.Name("jetstream"), kong.Vars{"default_state_dir": "", "output": "table"})
	if err != nil {
		return nil, err
	}
	registry := handlers.Commands(handlers.Deps{})
	apiRoot, err := p.model(&apiGrammar{}, apiOptions(registry)...)
	if err != nil {
		return nil, err
	}
	commands := &place{node: apiRoot}
	commands.enter = func(name string) *place {
		command, ok := registry.FindBare(name)
		if !ok {
			return nil
		}
		node, err := p.model(parameterFlags(command.Params), kong.Vars{"output": "json"})
		if err != nil { // a test makes the flags of every command
			return nil
		}
		return &place{node: node, enums: enumsOf(command)}
	}
	return &place{node: root, enter: func(name string) *place {
		if name == "api" {
			return commands
		}
		return nil
	}}, nil
}

func enumsOf(c *api.Command) map[string][]string {
	enums := map[string][]string{}
	for _, f := range c.Params {
		enums[f.Name] = f.Enum
		switch f.Kind {
		case api.KindBool:
			enums[f.Name] = []string{"true", "false"}
		case api.KindList:
			if _, each, ok := strings.Cut(f.Rules, "dive,oneof="); ok {
				enums[f.Name] = strings.Fields(each)
			}
		}
		switch f.Name { // fixed sets that the server checks, not the parser
		case "event":
			enums[f.Name] = server.EventNames()
		case "types":
			enums[f.Name] = server.LoggedTypes()
		}
	}
	return enums
}

// proposed are the values that a flag or argument of the grammar is to be
// completed with, though the server judges them: all events, or those of a
// command's parameter.
func proposed(tag *kong.Tag) []string {
	switch known := tag.Get("complete"); known {
	case "":
		return nil
	case "events":
		return server.EventNames()
	default:
		dot := strings.LastIndex(known, ".")
		command, _ := handlers.Commands(handlers.Deps{}).Find(known[:dot])
		return enumsOf(command)[known[dot+1:]]
	}
}

func (p *program) model(grammar any, options ...kong.Option) (*kong.Node, error) {
	parser, err := kong.New(grammar, append(options, kong.Writers(p.Stdout, p.Stderr))...)
	if err != nil {
		return nil, fmt.Errorf("command line: %w", err)
	}
	return parser.Model.Node, nil
}

// complete follows the finished words and returns the candidates for the last.
func (at *place) complete(words []string) []suggestion {
	finished, current := words[:len(words)-1], words[len(words)-1]
	var waiting *kong.Flag // the flag whose value is the next word
	for _, word := range finished {
		name, isFlag := strings.CutPrefix(word, "--")
		switch {
		case waiting != nil:
			waiting = nil
		case isFlag:
			if f := at.flag(name); f != nil && !f.IsBool() {
				waiting = f
			}
		default:
			at = at.into(word)
		}
	}
	switch name, value, assigned := strings.Cut(current, "="); {
	case waiting != nil:
		return matching(at.values(waiting), "", current)
	case assigned && strings.HasPrefix(name, "--"):
		if f := at.flag(name[2:]); f != nil {
			return matching(at.values(f), name+"=", value)
		}
		return nil
	case strings.HasPrefix(current, "-"):
		return matching(at.flags(), "", current)
	}
	return matching(at.commands(), "", current)
}

// into returns the place after a word: inside a command, or unchanged after an
// argument.
func (at *place) into(word string) *place {
	for _, child := range at.node.Children {
		for _, name := range append([]string{child.Name}, child.Aliases...) {
			if name != word {
				continue
			}
			if at.enter != nil {
				if next := at.enter(child.Name); next != nil {
					return next
				}
			}
			return &place{node: child}
		}
	}
	return at
}

func (at *place) flag(name string) *kong.Flag {
	for _, f := range at.allFlags() {
		if f.Name == name {
			return f
		}
	}
	return nil
}

func (at *place) allFlags() []*kong.Flag {
	return slices.Concat(at.node.AllFlags(true)...)
}

func (at *place) flags() []suggestion {
	var out []suggestion
	for _, f := range at.allFlags() {
		out = append(out, suggestion{"--" + f.Name, firstLine(f.Help)})
	}
	return out
}

// commands returns the commands that may follow, or an argument's fixed values.
func (at *place) commands() []suggestion {
	var out []suggestion
	for _, child := range at.node.Children {
		if child.Hidden {
			continue
		}
		for _, name := range append([]string{child.Name}, child.Aliases...) {
			out = append(out, suggestion{name, firstLine(child.Help)})
		}
	}
	for _, argument := range at.node.Positional {
		for _, value := range append(argument.EnumSlice(), proposed(argument.Tag)...) {
			out = append(out, suggestion{value, ""})
		}
	}
	return out
}

func (at *place) values(f *kong.Flag) []suggestion {
	values := at.enums[f.Name]
	if f.Enum != "" {
		values = f.EnumSlice()
	}
	if known := proposed(f.Tag); known != nil {
		values = known
	}
	out := make([]suggestion, len(values))
	for i, v := range values {
		out[i].word = v
	}
	return out
}

// matching returns the candidates with the prefix typed, each prefixed by before.
func matching(all []suggestion, before, typed string) []suggestion {
	var out []suggestion
	for _, s := range all {
		if strings.HasPrefix(s.word, typed) {
			out = append(out, suggestion{before + s.word, s.about})
		}
	}
	return out
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.ReplaceAll(line, "\t", " ")
}
