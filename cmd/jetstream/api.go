package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
)

// remotePasswordVariable holds the password of the receiving server's user.
const remotePasswordVariable = "JETSTREAM_REMOTE_PASSWORD"

// apiCmd is jetstream api. Its commands are made from the registry, and the
// parameters of each are flags of that command alone: whatever a command calls
// its parameters, they cannot clash with the login's flags, which go before it.
type apiCmd struct {
	Args []string `arg:"" optional:"" name:"command" help:"Command and its parameters; see jetstream api --help."`
}

// Run parses what stands before and at COMMAND.
func (c *apiCmd) Run(ctx context.Context, p *program) error {
	grammar := &apiGrammar{}
	return p.execute(ctx, grammar, c.Args, apiOptions(grammar, handlers.Commands(handlers.Deps{}))...)
}

// apiOptions returns the grammar of jetstream api: a command for each in registry.
func apiOptions(grammar *apiGrammar, registry *api.Registry) []kong.Option {
	options := []kong.Option{
		kong.Name("jetstream api"),
		kong.Description("Carries out one command of the control API and prints its result as JSON. " +
			"Flags of the login go before COMMAND, parameters after it; `jetstream api COMMAND --help` lists them."),
		kong.ExplicitGroups([]kong.Group{
			{Key: "server", Title: "Commands of the server:"},
			{Key: "send", Title: "Commands of the sender:"},
			{Key: "recv", Title: "Commands of the receiver:"},
		}),
		kong.Bind(grammar),
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

type apiGrammar struct {
	callFlags      `group:"Login:"`
	IdempotencyKey string `name:"idempotency-key" placeholder:"KEY" group:"Login:" help:"Names a creation: with the same key it can be repeated for 24 hours and gives the first answer."`
	Output         string `name:"output" enum:"json,table" default:"json" placeholder:"FORM" help:"Print the result as json or as a table; may stand after COMMAND as well."`
}

// commandCmd is one command of the control API.
type commandCmd struct {
	Args    []string `arg:"" optional:""`
	command *api.Command
}

// Run parses the parameters, calls the server and prints the result.
func (c *commandCmd) Run(ctx context.Context, p *program, login *apiGrammar) error {
	form, err := c.takeOutput(login.Output)
	if err != nil {
		return err
	}
	params, helped, err := c.parameters(ctx, p)
	if err != nil || helped {
		return err
	}
	conn, _, err := login.connect(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close()
	var reply api.Reply
	switch {
	case login.IdempotencyKey != "":
		reply, err = conn.CallOnce(ctx, login.IdempotencyKey, c.command.Name, params)
	case c.command.Access == api.AccessPublic && len(c.command.Params) == 0 && !conn.LoggedIn():
		reply, err = conn.Get(ctx, c.command.Path)
	default:
		reply, err = conn.Call(ctx, c.command.Name, params)
	}
	if err != nil {
		return err
	}
	if form == "table" {
		err = p.printTable(c.command, reply.Result)
	} else {
		err = p.printJSON(reply.Result)
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

// takeOutput removes --output from the parameters, unless the command has a
// parameter of that name. form is the value given before the command.
func (c *commandCmd) takeOutput(form string) (string, error) {
	if _, taken := c.command.Param("output"); taken {
		return form, nil
	}
	var rest []string
	for i := 0; i < len(c.Args); i++ {
		value, assigned := strings.CutPrefix(c.Args[i], "--output=")
		switch {
		case assigned:
		case c.Args[i] == "--output" && i+1 < len(c.Args):
			i++
			value = c.Args[i]
		default:
			rest = append(rest, c.Args[i])
			continue
		}
		if value != "json" && value != "table" {
			return "", usagef("--output is json or table, not %q", value)
		}
		form = value
	}
	c.Args = rest
	return form, nil
}

func (c *commandCmd) parameters(ctx context.Context, p *program) (params map[string]any, helped bool, err error) {
	flags := parameterFlags(c.command.Params)
	text := c.command.Summary + "."
	if c.command.Description != "" {
		text += "\n\n" + c.command.Description
	}
	text += "\n\nExample:\n\n    " + exampleLine(c.command)
	parsed, err := p.parse(flags, joinTruths(c.command.Params, c.Args), kong.Name("jetstream api "+c.command.Name),
		kong.Description(strings.ReplaceAll(text, "$", "$$")))
	if err != nil {
		return nil, false, c.explain(err)
	}
	if parsed == nil {
		return nil, true, nil
	}
	if params, err = parameterValues(c.command.Params, flags); err != nil {
		return nil, false, err
	}
	return params, false, c.readSecrets(ctx, p, params)
}

// explain adds a hint to a usage error about a flag in the wrong place, before
// the command instead of after it or the reverse.
func (c *commandCmd) explain(err error) error {
	e, ok := err.(*usageError) //nolint:errorlint // parse never wraps it
	if !ok {
		return err
	}
	if flag, isFlag := strings.CutPrefix(e.word, "--"); isFlag && slices.Contains(loginFlagNames(), flag) {
		e.message = fmt.Sprintf("--%s is no parameter of %s; flags of the login go before the command: jetstream api --%s ... %s",
			flag, c.command.Name, flag, c.command.Name)
	} else if e.word != "" && !isFlag {
		e.message += ": parameters are flags, --NAME VALUE"
	}
	return e
}

func loginFlagNames() []string {
	return []string{"host", "api-control-port", "user", "tls", "ca", "persistent-state-dir", "idempotency-key"}
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
