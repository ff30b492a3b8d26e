package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
)

// remotePasswordVariable holds the password of the receiving server's user.
const remotePasswordVariable = "JETSTREAM_REMOTE_PASSWORD"

// apiCmd is jetstream api. Its commands are made from the registry.
type apiCmd struct {
	Args []string `arg:"" optional:"" name:"command" help:"Command and its parameters; see jetstream api --help."`
}

// Run parses the command's name.
func (c *apiCmd) Run(ctx context.Context, p *program) error {
	return p.execute(ctx, &apiGrammar{}, c.Args, apiOptions(handlers.Commands(handlers.Deps{}))...)
}

// apiGrammar is the grammar of jetstream api, without its commands. Its flags
// may stand before the name of a command, whose parser takes them.
type apiGrammar struct{ apiFlags }

// apiOptions returns the commands of jetstream api: one for each in registry.
func apiOptions(registry *api.Registry) []kong.Option {
	options := []kong.Option{
		kong.Name("jetstream api"),
		kong.Description("Carries out one command of the control API and prints its result. " +
			"`jetstream api COMMAND --help` lists its parameters, which stand after it; the flags here may stand before COMMAND or after it."),
		kong.Vars{"output": "json"},
		kong.ExplicitGroups([]kong.Group{
			{Key: "server", Title: "Commands of the server:"},
			{Key: "send", Title: "Commands of the sender:"},
			{Key: "recv", Title: "Commands of the receiver:"},
		}),
	}
	for _, command := range registry.All() {
		tags := []string{`cmd:""`, `passthrough:""`}
		if bare := command.BareName(); bare != command.Name {
			if found, _ := registry.FindBare(bare); found == command {
				tags = append(tags, `aliases:"`+bare+`"`)
			}
		}
		options = append(options, kong.DynamicCommand(command.Name, command.Summary+".", command.Group(),
			&commandCmd{command: command}, tags...))
	}
	return options
}

// apiFlags are the flags of every command of the control API.
type apiFlags struct {
	callFlags      `group:"Login:"`
	IdempotencyKey string `name:"idempotency-key" placeholder:"KEY" help:"Names a creation: with the same key it can be repeated for 24 hours and gives the first answer."`
	outputFlags
}

// commandCmd is one command of the control API.
type commandCmd struct {
	Args    []string `arg:"" optional:""`
	command *api.Command
}

// Run parses the parameters, calls the server and prints the result.
func (c *commandCmd) Run(ctx context.Context, p *program) error {
	params, flags, err := c.parameters(ctx, p)
	if err != nil || flags == nil {
		return err
	}
	conn, _, err := flags.connect(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := findIDs(ctx, conn, c.command, params); err != nil {
		return err
	}
	var reply api.Reply
	switch {
	case flags.IdempotencyKey != "":
		reply, err = conn.CallOnce(ctx, flags.IdempotencyKey, c.command.Name, params)
	case c.command.Access == api.AccessPublic && len(c.command.Params) == 0 && !conn.LoggedIn():
		reply, err = conn.Get(ctx, c.command.Path)
	default:
		reply, err = conn.Call(ctx, c.command.Name, params)
	}
	if err != nil {
		return err
	}
	if flags.asJSON() {
		err = p.printJSON(reply.Result)
	} else {
		err = p.printTable(c.command, reply.Result, flags.Wide)
	}
	if err == nil && c.command.Waits {
		err = failureOf(reply.Result)
	}
	return err
}

// failureOf returns an error if what was waited for has ended otherwise than
// complete, so that a shell can tell.
func failureOf(result json.RawMessage) error {
	var ended struct {
		Status       transfer.Status `json:"status"`
		ErrorMessage string          `json:"errorMessage"`
	}
	if err := json.Unmarshal(result, &ended); err != nil {
		return err
	}
	switch {
	case ended.Status != transfer.StatusError && ended.Status != transfer.StatusCancelled:
		return nil
	case ended.ErrorMessage != "":
		return fmt.Errorf("it ended with status %s: %s", ended.Status, ended.ErrorMessage)
	default:
		return fmt.Errorf("it ended with status %s", ended.Status)
	}
}

// parameters parses the parameters and the other flags. flags is nil if help was
// asked for and printed.
func (c *commandCmd) parameters(ctx context.Context, p *program) (params map[string]any, flags *apiFlags, err error) {
	grammar := parameterFlags(c.command.Params)
	text := c.command.Summary + "."
	if c.command.Description != "" {
		text += "\n\n" + c.command.Description
	}
	text += "\n\nExample:\n\n    " + c.command.ExampleLine()
	parsed, err := p.parse(grammar, joinTruths(c.command.Params, c.Args), kong.Name("jetstream api "+c.command.Name),
		kong.Vars{"output": "json"}, kong.Description(strings.ReplaceAll(text, "$", "$$")))
	if err != nil {
		return nil, nil, c.explain(err)
	}
	if parsed == nil {
		return nil, nil, nil
	}
	params, flags, err = parameterValues(c.command.Params, grammar)
	if err != nil {
		return nil, nil, err
	}
	return params, flags, c.readSecrets(ctx, p, params)
}

// explain completes a usage error: that parameters are flags, or the unit of
// the number that was expected.
func (c *commandCmd) explain(err error) error {
	e, ok := err.(*usageError) //nolint:errorlint // parse never wraps it
	if !ok {
		return err
	}
	if e.word != "" && !strings.HasPrefix(e.word, "--") {
		e.message += ": parameters are flags, --NAME VALUE"
	}
	for _, f := range c.command.Params {
		if f.Unit != "" && strings.HasPrefix(e.message, "--"+f.Name+": ") {
			e.message += "; it is a number of " + f.Unit
		}
	}
	return e
}

// readSecrets replaces every @FILE by the file's content and prompts for a
// required secret that was not given.
func (c *commandCmd) readSecrets(ctx context.Context, p *program, params map[string]any) error {
	stdinFor := ""
	for _, f := range c.command.Params {
		if !f.Secret {
			continue
		}
		flag := "--" + f.Name
		text, given := params[f.Name].(string)
		switch {
		case given:
			if text == "@-" && stdinFor != "" {
				return usagef("%s and %s cannot both be read from standard input", stdinFor, flag)
			} else if text == "@-" {
				stdinFor = flag
			}
			secret, err := p.secretOf(ctx, flag, text)
			if err != nil {
				return err
			}
			params[f.Name] = secret
		case c.command.Name == "send.createTransfer" && p.Getenv(remotePasswordVariable) != "":
			params[f.Name] = p.Getenv(remotePasswordVariable)
		case f.Required:
			if _, terminal := p.terminal(); !terminal {
				ways := "give it as " + flag + " @FILE, or " + flag + " @- for standard input"
				if c.command.Name == "send.createTransfer" {
					ways += ", or in " + remotePasswordVariable
				}
				return usagef("%s is missing and there is no terminal to ask on: %s", flag, ways)
			}
			secret, err := p.ask(ctx, f.Name+" ("+f.Doc+")")
			if err != nil {
				return err
			}
			params[f.Name] = secret
		}
	}
	return nil
}

// printJSON prints an object indented, its keys sorted, numbers unchanged.
func (p *program) printJSON(object json.RawMessage) error {
	value, err := decodeObject(object)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text) // sorts the keys of maps
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err = p.Stdout.Write(terminal.PrintableJSON(text.Bytes()))
	return err
}
