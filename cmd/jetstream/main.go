// Command jetstream moves files between sites and runs the operator's scripts
// on everything that happens. It is the only package that reads flags,
// environment and signals, and it puts the program together.
//
// Exit status everywhere: 0 done, 1 refused or failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"jetstream/internal/api"
	"jetstream/internal/console"
	"jetstream/internal/terminal"
)

// The exit statuses of every command.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// program is the process as commands see it: arguments, environment and standard
// streams. Tests pass their own.
type program struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Getenv reads one environment variable, "" when it is not set.
	Getenv func(string) string
	// Environ is the whole environment, for child processes.
	Environ []string
	// args are the arguments of the command line.
	args []string
	// settings are those of the server's configuration file.
	settings *settings
	// console is Stderr in a server, and is closed at the end; else nil.
	console *console.Writer
}

// cli is the grammar of the command line.
type cli struct {
	Server    serverCmd    `cmd:"" group:"Run a server:" help:"Run the server: send, receive, and run scripts on what happens."`
	Reload    reloadCmd    `cmd:"" group:"Run a server:" help:"Let the running server read its settings and its certificate again."`
	API       apiCmd       `cmd:"" group:"Use a server:" name:"api" passthrough:"" help:"Carry out one command of the control API."`
	Send      sendCmd      `cmd:"" group:"Use a server:" help:"Send files and directories to another site and watch them arrive."`
	Transfers transfersCmd `cmd:"" group:"Use a server:" help:"Follow and steer what is sent and received."`
	Digest    digestCmd    `cmd:"" group:"Use a server:" help:"Print digests of files, to compare with those of a transfer."`
	Setup     setupCmd     `cmd:"" group:"Run a server:" help:"Set up a server on this machine: configuration, first users, directories."`
	User      userCmd      `cmd:"" group:"Run a server:" help:"Make, list, change and remove users of a server on this machine."`
	Trigger   triggerCmd   `cmd:"" group:"Use a server:" help:"See what the trigger scripts did, and steer them."`
	Login     loginCmd     `cmd:"" group:"Use a server:" help:"Log in at a server once, instead of a password for every command."`
	Logout    logoutCmd    `cmd:"" group:"Use a server:" help:"End that login, here and at the server."`
	Demo      demoCmd      `cmd:"" group:"Run a server:" help:"Show the whole on this machine: two servers, scripts, a transfer."`
	Version   versionCmd   `cmd:"" group:"This program:" help:"Show the version of this program (also --version)."`
	Help      helpCmd      `cmd:"" group:"This program:" help:"Show the help of a command."`

	Completion completionCmd `cmd:"" group:"This program:" help:"Print the script that completes commands and flags in bash, zsh or fish."`
	Complete   completeCmd   `cmd:"" hidden:"" passthrough:"" help:"Say what may come next, for the completion scripts."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit status. Cancelling ctx
// stops the command.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{Stdin: stdin, Stdout: stdout, Stderr: stderr, Getenv: getenv, Environ: os.Environ()}
	code := p.report(p.command(ctx, args))
	if p.console != nil {
		p.console.Close()
	}
	return code
}

// command runs the command line args of the whole program.
func (p *program) command(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		args = []string{"--help"}
	case args[0] == "--version":
		args = append([]string{"version"}, args[1:]...)
	}
	dir, err := stateDir(p.Getenv)
	if err != nil {
		dir = "no default here" // the command that needs it says why
	}
	p.args = args
	grammar := &cli{}
	return p.execute(ctx, grammar, args, grammar.options(dir)...)
}

// options are those of the parser of the whole command line; stateDir is the default
// that help shows.
func (g *cli) options(stateDir string) []kong.Option {
	return []kong.Option{
		kong.Name("jetstream"), kong.Bind(g), kong.Vars{"default_state_dir": stateDir, "output": "table"},
		kong.Description("Moves files between sites and runs your scripts on everything that happens."),
	}
}

// execute parses args with grammar and runs the command that they name.
func (p *program) execute(ctx context.Context, grammar any, args []string, options ...kong.Option) error {
	parsed, err := p.parse(grammar, args, options...)
	if err != nil || parsed == nil {
		return err
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(p)
	return parsed.Run()
}

// helped is the panic value that ends parsing once help was printed; kong would
// otherwise continue and report missing arguments.
type helped struct{}

// parse parses args with grammar. It returns nil and no error when help was
// asked for and printed. Every other failure is a usageError.
func (p *program) parse(grammar any, args []string, options ...kong.Option) (parsed *kong.Context, err error) {
	defer func() {
		switch v := recover(); v.(type) {
		case nil:
		case helped:
			parsed, err = nil, nil
		default:
			panic(v)
		}
	}()
	p.settings = &settings{getenv: p.Getenv}
	options = append(options,
		kong.Writers(p.Stdout, p.Stderr),
		kong.Exit(func(int) { panic(helped{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.ValueFormatter(describe),
		kong.Resolvers(p.settings, variables(p.Getenv)),
		kong.NamedMapper("path", kong.MapperFunc(decodePath)),
		kong.KindMapper(reflect.String, kong.MapperFunc(decodeText)),
	)
	parser, err := kong.New(grammar, options...)
	if err != nil { // the grammar is wrong, not the user
		return nil, fmt.Errorf("command line: %w", err)
	}
	nameVariables(parser.Model.Node)
	if parsed, err = parser.Parse(arranged(parser.Model.Node, args)); err != nil {
		if e, ok := errors.AsType[*usageError](err); ok {
			return nil, e
		}
		return nil, p.settings.locate(usageOf(parser.Model.Node, err))
	}
	return parsed, nil
}

// decodePath makes a path absolute. An empty one is an error: it
// most often comes from an unset shell variable, and would mean the working
// directory.
func decodePath(ctx *kong.DecodeContext, target reflect.Value) error {
	path, err := ctx.Scan.PopValue("path")
	if err != nil {
		return err
	}
	if path.Value == "" {
		return errors.New("the path is empty")
	}
	target.SetString(kong.ExpandPath(fmt.Sprint(path.Value)))
	return nil
}

// decodeText keeps every byte; kong's own mapper replaces those that are not
// UTF-8, so that a command would work on another file than it was given.
func decodeText(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := ctx.Scan.PopValue("string")
	if err != nil {
		return err
	}
	target.SetString(fmt.Sprint(text.Value))
	return nil
}

// serverVariables is the prefix of the environment variables that set the flags of
// jetstream server. A flag of another command names its variable in the struct tag
// "from".
const serverVariables = "JETSTREAM_SERVER_"

// nameVariables sets every flag's variable, so that help shows it. Kong's own
// "env" tag is not used: it reads the process's environment, not p.Getenv.
func nameVariables(n *kong.Node) {
	for _, f := range n.Flags {
		switch name := f.Tag.Get("from"); {
		case name != "":
			f.Envs = []string{name}
		case n.Name == "server" && f.Name != "help":
			f.Envs = []string{serverVariables + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))}
		}
	}
	for _, child := range n.Children {
		nameVariables(child)
	}
}

// describe returns a flag's help with its variable.
func describe(v *kong.Value) string {
	help := kong.DefaultHelpValueFormatter(v)
	if v.Flag == nil || len(v.Flag.Envs) == 0 {
		return help
	}
	return strings.TrimSuffix(help, ".") + " (also " + strings.Join(v.Flag.Envs, ", ") + ")."
}

// variables gives a flag that was not set its variable's value; an empty
// variable counts as not set.
func variables(getenv func(string) string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
		for _, name := range f.Envs {
			if v := getenv(name); v != "" {
				return v, nil
			}
		}
		return nil, nil
	})
}

// errQuiet is the error of a command that has already printed the reason.
var errQuiet = errors.New("failed")

// report prints err on standard error and returns the exit status.
func (p *program) report(err error) int {
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintln(p.Stderr, "jetstream:", terminal.Printable(fmt.Sprintf(format, args...)))
	}
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errQuiet) {
		return exitFailed
	}
	if e, ok := errors.AsType[*usageError](err); ok {
		say("%s", e.message)
		if e.help != "" {
			say("`%s` shows what can be given", e.help)
		}
		return exitUsage
	}
	e, ok := errors.AsType[*api.Error](err)
	if !ok {
		say("%v", err)
		return exitFailed
	}
	if e.RetryAfter > 0 {
		say("%s: %s; try again in %s", e.Code, e.Message, e.RetryAfter)
	} else {
		say("%s: %s", e.Code, e.Message)
	}
	if len(e.Fields) == 1 && e.Fields[0].Message == e.Message {
		return exitFailed // it would say the same again
	}
	for _, f := range e.Fields {
		say("  %s: %s", f.Field, f.Message)
	}
	return exitFailed
}
