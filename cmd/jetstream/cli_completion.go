package main

import (
	"context"
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
func (c *completeCmd) Run(ctx context.Context, p *program) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	place, err := p.completionRoot(&liveValues{ctx: ctx, p: p})
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
	// command is the command of the API whose parameters the flags are; empty for none.
	command string
	live    *liveValues
	// arguments is how many arguments of the node are finished.
	arguments int
}

func (p *program) completionRoot(live *liveValues) (*place, error) {
	root, err := p.model(&cli{}, kong.Name("jetstream"), kong.Vars{"default_state_dir": "", "output": "table"})
	if err != nil {
		return nil, err
	}
	registry := handlers.Commands(handlers.Deps{})
	apiRoot, err := p.model(&apiGrammar{}, apiOptions(registry)...)
	if err != nil {
		return nil, err
	}
	commands := &place{node: apiRoot, live: live}
	commands.enter = func(name string) *place {
		command, ok := registry.FindBare(name)
		if !ok {
			return nil
		}
		node, err := p.model(parameterFlags(command.Params), kong.Vars{"output": "json"})
		if err != nil { // a test makes the flags of every command
			return nil
		}
		return &place{node: node, enums: enumsOf(command), command: command.Name, live: live}
	}
	return &place{node: root, live: live, enter: func(name string) *place {
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
// command's parameter; where that has no fixed set, what the server has of it.
func (at *place) proposed(tag *kong.Tag, typed string) []suggestion {
	kind := tag.Get("complete")
	switch kind {
	case "":
		return nil
	case "events":
		return fixed(server.EventNames())
	}
	if dot := strings.LastIndex(kind, "."); dot > 0 {
		command, _ := handlers.Commands(handlers.Deps{}).Find(kind[:dot])
		if known := enumsOf(command)[kind[dot+1:]]; known != nil {
			return fixed(known)
		}
	}
	return at.live.values(kind, typed)
}

// fixed are suggestions without a description.
func fixed(words []string) []suggestion {
	out := make([]suggestion, len(words))
	for i, w := range words {
		out[i].word = w
	}
	return out
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
		bare, _, _ := strings.Cut(name, "=")
		switch {
		case waiting != nil:
			if loginFlag.MatchString(waiting.Name) {
				at.live.login = append(at.live.login, "--"+waiting.Name, word)
			}
			waiting = nil
		case isFlag:
			if f := at.flag(name); f != nil && !f.IsBool() {
				waiting = f
			} else if loginFlag.MatchString(bare) {
				at.live.login = append(at.live.login, word)
			}
		default:
			at = at.into(word)
		}
	}
	switch name, value, assigned := strings.Cut(current, "="); {
	case waiting != nil:
		return matching(at.values(waiting, current), "", current)
	case assigned && strings.HasPrefix(name, "--"):
		if f := at.flag(name[2:]); f != nil {
			return matching(at.values(f, value), name+"=", value)
		}
		return nil
	case strings.HasPrefix(current, "-"):
		return matching(at.flags(), "", current)
	}
	return matching(at.commands(current), "", current)
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
			return &place{node: child, live: at.live}
		}
	}
	at.arguments++
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

// commands returns the commands that may follow, or the values of the argument that
// comes next.
func (at *place) commands(typed string) []suggestion {
	var out []suggestion
	for _, child := range at.node.Children {
		if child.Hidden {
			continue
		}
		for _, name := range append([]string{child.Name}, child.Aliases...) {
			out = append(out, suggestion{name, firstLine(child.Help)})
		}
	}
	if n := len(at.node.Positional); n > 0 {
		argument := at.node.Positional[min(at.arguments, n-1)]
		if argument.Enum != "" {
			out = append(out, fixed(argument.EnumSlice())...)
		}
		if argument.Tag.Get("complete") != "destinations" || at.arguments > 0 { // which comes after the sources
			out = append(out, at.proposed(argument.Tag, typed)...)
		}
	}
	return out
}

func (at *place) values(f *kong.Flag, typed string) []suggestion {
	switch {
	case f.Enum != "":
		return fixed(f.EnumSlice())
	case f.Tag.Get("complete") != "":
		return at.proposed(f.Tag, typed)
	case at.enums[f.Name] != nil || at.command == "":
		return fixed(at.enums[f.Name])
	case strings.HasSuffix(f.Name, "Id"):
		return at.live.values(at.command+"."+f.Name, typed)
	}
	return nil
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
