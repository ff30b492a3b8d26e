package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"jetstream/internal/account"
	"jetstream/internal/server"
	"jetstream/internal/terminal"
)

// setupCmd is jetstream setup.
type setupCmd struct {
	Yes    bool   `help:"Ask nothing: take the default of all that is not given, and make up the passwords."`
	Config string `name:"config" type:"path" placeholder:"FILE" from:"JETSTREAM_SERVER_CONFIG" help:"Configuration file to write (for root /etc/jetstream/server.conf, else server.conf in your directory for settings)."`

	Superuser     string `name:"superuser" placeholder:"NAME" help:"Name of the first superuser (admin)."`
	User          string `name:"user" placeholder:"NAME" help:"Name of the first user (you; transfer for root)."`
	Sandbox       string `type:"path" placeholder:"DIR" help:"Directory of that user's files (files/NAME beside the state directory)."`
	PasswordStdin bool   `name:"password-stdin" help:"Read the passwords from standard input: a line for each user that is made, the superuser first."`

	PersistentStateDir string `name:"persistent-state-dir" type:"path" placeholder:"DIR" help:"Directory of the database and the keys."`
	TriggerDir         string `name:"trigger-dir" type:"path" placeholder:"DIR" help:"Directory of the trigger scripts (triggers beside the state directory)."`
	ExternalAddress    string `name:"external-address" placeholder:"NAME" help:"Name or address that others reach this server by (the name of the host)."`
	RecvHost           string `name:"recv-host" placeholder:"ADDRESS" help:"Address that transfers are received on (all)."`
	RecvPort           uint16 `name:"recv-port" default:"8887" help:"Port that transfers are received on."`
	APIHost            string `name:"api-host" placeholder:"ADDRESS" help:"Address of the control API (127.0.0.1); with another a certificate is made that it signs itself."`
	APIPort            uint16 `name:"api-port" default:"8886" help:"Port of the control API."`
}

// Help implements kong.HelpProvider.
func (*setupCmd) Help() string {
	return `Writes the configuration file, makes the first superuser, the first user with a
directory, and the trigger directory with a sample, and says what to try. What is
there already stays as it is, so that it may be run again. As root it prepares the
service, which runs as the user jetstream if there is one.

Examples:

    sudo jetstream setup
    sudo jetstream setup --yes --user alice --external-address site-a.example`
}

// setup is one run of jetstream setup.
type setup struct {
	*setupCmd
	ctx context.Context
	p   *program

	owner  owner
	config string     // path of the configuration file
	stood  bool       // the file was there
	conf   *serverCmd // what it says
	made   []account.NewUser
	there  account.NewUser // the first user, who is there
}

// Run sets up a server.
func (c *setupCmd) Run(ctx context.Context, p *program) error {
	if _, ok := p.terminal(); !ok && !c.Yes {
		return usagef("there is no terminal to ask at: give --yes to take the default of all that is not given")
	}
	s := &setup{setupCmd: c, ctx: ctx, p: p, owner: serviceOwner()}
	text, err := s.configuration()
	if err != nil {
		return err
	}
	if err := s.users(); err != nil {
		return err
	}
	// Nothing was written up to here.
	for _, step := range []func() error{
		s.certificate, func() error { return s.writeConfiguration(text) }, s.directories, s.makeUsers, s.sample, s.next,
	} {
		if err := step(); err != nil {
			return fmt.Errorf("%w; what was made stays, and another jetstream setup goes on from here", err)
		}
	}
	return nil
}

// ask returns what is typed, or the default, which it is without questions too.
func (s *setup) ask(question, byDefault string) (string, error) {
	if s.Yes {
		return byDefault, nil
	}
	answer, err := s.p.askLine(s.ctx, question+" ["+byDefault+"]")
	return cmp.Or(answer, byDefault), err
}

// askYes is ask for yes or no.
func (s *setup) askYes(question string, byDefault bool) (bool, error) {
	choice := "y/N"
	if byDefault {
		choice = "Y/n"
	}
	if s.Yes {
		return byDefault, nil
	}
	answer, err := s.p.askLine(s.ctx, question+" ["+choice+"]")
	switch strings.ToLower(answer) {
	case "y", "yes":
		return true, err
	case "n", "no":
		return false, err
	}
	return byDefault, err
}

// say prints a line of what was done.
func (s *setup) say(what, format string, args ...any) error {
	_, err := terminal.Fprintf(s.p.Stdout, "%-14s %s\n", what, fmt.Sprintf(format, args...))
	return err
}

// configuration finds the configuration file, or asks what it shall say and returns
// its text.
func (s *setup) configuration() (text string, err error) {
	if s.config, err = s.configPath(); err != nil {
		return "", err
	}
	if _, err := os.Lstat(s.config); !errors.Is(err, fs.ErrNotExist) {
		s.stood = true
		s.conf, err = s.p.settingsOf(s.config)
		return "", err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	c := *s.setupCmd
	if c.PersistentStateDir == "" {
		if c.PersistentStateDir, err = defaultStateDir(withoutServerVariables(s.p.Getenv)); err != nil {
			return "", err
		}
	}
	if c.ExternalAddress == "" {
		if c.ExternalAddress, err = s.ask("Name or address that others reach this machine by", host); err != nil {
			return "", err
		}
	}
	if c.RecvHost == "" {
		others, err := s.askYes("Receive transfers from other machines?", true)
		if err != nil {
			return "", err
		}
		if !others {
			c.RecvHost = "127.0.0.1"
		}
	}
	if c.APIHost == "" {
		others, err := s.askYes("Offer the control API and the page to other machines, with a certificate that is made now?", false)
		if err != nil {
			return "", err
		}
		if c.APIHost = "127.0.0.1"; others {
			c.APIHost = "0.0.0.0"
		}
	}
	if c.TriggerDir == "" {
		if c.TriggerDir, err = s.ask("Directory of the trigger scripts", filepath.Join(filepath.Dir(c.PersistentStateDir), "triggers")); err != nil {
			return "", err
		}
	}
	text = s.configText(&c)
	s.conf, err = s.p.settingsIn(text)
	return text, err
}

// configPath returns the path of the configuration file.
func (s *setup) configPath() (string, error) {
	if s.Config != "" {
		return s.Config, nil
	}
	if os.Geteuid() == 0 {
		return systemConfig, nil
	}
	dir, err := settingsDir(s.p.Getenv)
	if err != nil {
		return "", usagef("there is no home directory to keep the configuration in; give --config FILE")
	}
	return filepath.Join(dir, "server.conf"), nil
}

// configText is the configuration file for the answers c.
func (s *setup) configText(c *setupCmd) string {
	var b strings.Builder
	b.WriteString("# Settings of jetstream server: its flags without the dashes, a line each.\n" +
		"# After a change: jetstream reload, which says what needs a restart.\n")
	line := func(name, value string) { fmt.Fprintf(&b, "%s %s\n", name, value) }
	line("persistent-state-dir", c.PersistentStateDir)
	line("trigger-dir", c.TriggerDir)
	line("external-address", c.ExternalAddress)
	line("api-host", c.APIHost)
	line("api-port", strconv.Itoa(int(c.APIPort)))
	if !server.IsLoopback(c.APIHost) {
		line("tls-cert", s.certFile())
		line("tls-key", s.keyFile())
	}
	if c.RecvHost != "" {
		line("recv-host", c.RecvHost)
	}
	line("recv-port", strconv.Itoa(int(c.RecvPort)))
	return b.String()
}

func (s *setup) certFile() string { return filepath.Join(filepath.Dir(s.config), "api-cert.pem") }
func (s *setup) keyFile() string  { return filepath.Join(filepath.Dir(s.config), "api-key.pem") }

// withoutServerVariables is getenv without the variables of jetstream server, which
// the server does not find when it starts.
func withoutServerVariables(getenv func(string) string) func(string) string {
	return func(name string) string {
		if strings.HasPrefix(name, serverVariables) {
			return ""
		}
		return getenv(name)
	}
}

// settingsOf returns the settings of a server with a configuration file.
func (p *program) settingsOf(path string) (*serverCmd, error) {
	q := *p
	q.Getenv, q.Stdout, q.Stderr = withoutServerVariables(p.Getenv), io.Discard, io.Discard
	grammar := &cli{}
	_, err := q.parse(grammar, []string{"server", "--config", path}, q.grammarOptions(grammar)...)
	if err == nil {
		_, err = grammar.Server.options(&q)
	}
	if e, ok := errors.AsType[*usageError](err); ok {
		return nil, errors.New(q.settings.locate(e).message)
	}
	return &grammar.Server, err
}

// settingsIn is settingsOf for the text of a file.
func (p *program) settingsIn(text string) (*serverCmd, error) {
	f, err := os.CreateTemp("", "jetstream-*.conf")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	conf, err := p.settingsOf(f.Name())
	if err != nil { // the file is gone when this is read
		return nil, usagef("%s", strings.TrimPrefix(err.Error(), f.Name()+":"))
	}
	return conf, nil
}

func (s *setup) writeConfiguration(text string) error {
	if s.stood {
		ignored := ""
		if c := s.setupCmd; c.PersistentStateDir+c.TriggerDir+c.ExternalAddress+c.RecvHost+c.APIHost != "" || c.RecvPort != 8887 || c.APIPort != 8886 {
			ignored = "; the settings that were given here are not written into it"
		}
		return s.say("configuration", "%s stands: change it with an editor, then jetstream reload%s", s.config, ignored)
	}
	if err := s.owner.makeDir(filepath.Dir(s.config), 0o750, true); err != nil {
		return err
	}
	if err := s.owner.writeFile(s.config, []byte(text), 0o640, true); err != nil {
		return err
	}
	return s.say("configuration", "%s was written", s.config)
}
