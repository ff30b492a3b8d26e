package main

import (
	"context"
	"errors"
	"io"
	"reflect"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/server"
	"jetstream/internal/terminal"
)

// reloader reads the settings of a running server again. Not safe for concurrent
// use.
type reloader struct {
	p       *program
	running *serverCmd // the settings with which the server runs
}

// reload implements server.Options.Reload. The command line and the environment are
// those with which the server was started; only the file can be another.
func (r *reloader) reload(ctx context.Context, s *server.Server) ([]handlers.SettingChange, error) {
	p := *r.p
	p.Stdout, p.Stderr = io.Discard, io.Discard
	grammar := &cli{}
	parsed, err := p.parse(grammar, p.args, grammar.options("")...)
	if err == nil && parsed == nil {
		err = errors.New("the command line asks for help")
	}
	var o server.Options
	if err == nil {
		o, err = grammar.Server.options(&p)
	}
	if err != nil {
		if e, ok := errors.AsType[*usageError](err); ok {
			return nil, api.Errorf(api.CodeInvalid, "%s", p.settings.locate(e).message)
		}
		return nil, err
	}
	if err := s.Apply(ctx, o); err != nil {
		return nil, err
	}
	changed := r.running.take(&grammar.Server)
	r.running.level()
	return changed, nil
}

// take changes the live settings of c to those of next, and returns what differs in
// next.
func (c *serverCmd) take(next *serverCmd) []handlers.SettingChange {
	var changed []handlers.SettingChange
	from, to := reflect.ValueOf(c).Elem(), reflect.ValueOf(next).Elem()
	for field := range from.Type().Fields() {
		name := field.Tag.Get("name")
		if name == "" || notInConfig(name) {
			continue
		}
		was, is := from.FieldByIndex(field.Index), to.FieldByIndex(field.Index)
		before, after := settingText(was), settingText(is)
		if before == after {
			continue
		}
		live := field.Tag.Get("live") != ""
		changed = append(changed, handlers.SettingChange{Setting: name, From: before, To: after, NeedsRestart: !live})
		if live {
			was.Set(is)
		}
	}
	return changed
}

// reloadCmd is jetstream reload.
type reloadCmd struct {
	PersistentStateDir string `name:"persistent-state-dir" type:"path" placeholder:"DIR" from:"JETSTREAM_SERVER_PERSISTENT_STATE_DIR" help:"State directory of the server (${default_state_dir})."`
}

// Help implements kong.HelpProvider.
func (*reloadCmd) Help() string {
	return `Waits until the server has read them, and prints what changed. If something is
wrong, the server goes on with its former settings, and the exit status is 1. It is
called by the control socket, by root or the server's user; "jetstream api reload"
does the same with a login.`
}

// Run reloads the settings of the server on this machine.
func (c *reloadCmd) Run(ctx context.Context, p *program) error {
	socket := p.findSocket(ctx, c.PersistentStateDir)
	if socket == "" {
		return errors.New("no server answers at the control socket of " + p.socketDirs(c.PersistentStateDir)[0] +
			": is it running, and are you root or its user? Name its state directory by --persistent-state-dir, or log in: jetstream api --user NAME reload")
	}
	conn, err := client.New(client.Options{Socket: socket})
	if err != nil {
		return err
	}
	defer conn.Close()
	result, err := client.As[handlers.Reloaded](conn.Call(ctx, "reload", nil))
	if err != nil {
		return errors.New("the former settings stay: " + api.ErrorOf(err).Message)
	}
	if len(result.Changed) == 0 {
		_, err := terminal.Fprintf(p.Stdout, "the settings are read; none has changed\n")
		return err
	}
	for _, s := range result.Changed {
		note := ""
		if s.NeedsRestart {
			note = " (needs a restart)"
		}
		if _, err := terminal.Fprintf(p.Stdout, "%s: %s -> %s%s\n", s.Setting, orEmpty(s.From), orEmpty(s.To), note); err != nil {
			return err
		}
	}
	return nil
}

func orEmpty(value string) string {
	if value == "" {
		return "(empty)"
	}
	return value
}
