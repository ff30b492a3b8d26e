package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/diskspace"
	"jetstream/internal/server"
	"jetstream/internal/store"
	"jetstream/internal/terminal"
)

// doctorCmd is jetstream doctor: it examines a server on this machine, running or not,
// and what it depends on.
type doctorCmd struct {
	Config             string `name:"config" type:"path" placeholder:"FILE" from:"JETSTREAM_SERVER_CONFIG" help:"The server's configuration file (/etc/jetstream/server.conf, if it is there)."`
	PersistentStateDir string `name:"persistent-state-dir" type:"path" placeholder:"DIR" from:"JETSTREAM_SERVER_PERSISTENT_STATE_DIR" help:"State directory of the server (${default_state_dir})."`
	outputFlags
}

// Help says what the exit status means.
func (c *doctorCmd) Help() string {
	return "Settings that are only flags of the running server are known as far as it says them. Exit status 1 means that a finding is fail; warnings leave it 0."
}

// The levels of a diagnosis.
const (
	levelOK   = "ok"
	levelWarn = "warn"
	levelFail = "fail"
)

// diagnosis is one finding of the doctor.
type diagnosis struct {
	Level   string `json:"level"`
	Check   string `json:"check"`
	Message string `json:"message"`
	Advice  string `json:"advice"` // what to do; empty if nothing is
}

// doctor collects findings.
type doctor struct {
	p        *program
	findings []diagnosis
	settings *serverCmd
	stateDir string
	conn     *client.Client         // nil: no server answers
	status   *handlers.ServerStatus // of the running server, or nil
}

func (d *doctor) add(level, check, advice, format string, args ...any) {
	d.findings = append(d.findings, diagnosis{level, check, fmt.Sprintf(format, args...), advice})
}

// Run examines and reports.
func (c *doctorCmd) Run(ctx context.Context, p *program) error {
	d := &doctor{p: p}
	if err := d.open(ctx, c); err != nil {
		return err
	}
	if d.conn != nil {
		defer d.conn.Close()
	}
	for _, check := range []func(context.Context){
		d.checkServer, d.checkDatabase, d.checkPorts, d.checkCertificate, d.checkRights, d.checkTriggers, d.checkDisks,
		d.checkDestinations, d.checkClock, d.checkKernel,
	} {
		check(ctx)
	}
	if err := ctx.Err(); err != nil {
		return errors.New("interrupted")
	}
	return d.report(c)
}

// report prints the findings.
func (d *doctor) report(c *doctorCmd) error {
	count := map[string]int{}
	for _, f := range d.findings {
		count[f.Level]++
	}
	if c.asJSON() {
		b, err := api.Marshal(struct {
			StateDir string      `json:"stateDir"`
			Running  bool        `json:"running"`
			Findings []diagnosis `json:"findings"`
		}{d.stateDir, d.conn != nil, d.findings})
		if err == nil {
			err = d.p.printJSON(b)
		}
		if err != nil {
			return err
		}
	} else {
		var b strings.Builder
		for _, f := range d.findings {
			text := f.Message
			if f.Advice != "" {
				text += ": " + f.Advice
			}
			fmt.Fprintf(&b, "%-5s %-13s%s\n", f.Level, f.Check, terminal.Printable(text))
		}
		fmt.Fprintf(&b, "%d ok, %d warn, %d fail\n", count[levelOK], count[levelWarn], count[levelFail])
		if _, err := d.p.Stdout.Write([]byte(b.String())); err != nil {
			return err
		}
	}
	if count[levelFail] > 0 {
		return errQuiet
	}
	return nil
}

// open finds the server and its settings.
func (d *doctor) open(ctx context.Context, c *doctorCmd) error {
	var err error
	if d.settings, err = d.p.serverSettings(c.Config); err != nil {
		d.add(levelFail, "settings", "mend them; jetstream server --check shows what they are", "the server's settings cannot be used: %v", err)
		d.settings = &serverCmd{MinFree: "auto"}
	}
	given := c.PersistentStateDir
	if given == "" {
		given = d.settings.StateDir
	}
	if d.stateDir = given; given == "" {
		if d.stateDir, err = stateDir(d.p.Getenv); err != nil {
			return err
		}
	}
	socket := d.p.findSocket(ctx, given)
	if socket == "" {
		return nil
	}
	if d.conn, err = client.New(client.Options{Socket: socket, Timeout: 20 * time.Second}); err != nil {
		return err
	}
	d.stateDir = filepath.Dir(socket)
	status, err := client.As[handlers.ServerStatus](d.conn.Call(ctx, "getServerStatus", nil))
	if err != nil {
		d.add(levelFail, "server", "run doctor as root or as the server's user, and with its version of the program", "the server does not say how it is: %v", err)
		return nil
	}
	d.status = &status
	return nil
}

// serverSettings returns the settings that a server would be started with.
func (p *program) serverSettings(config string) (*serverCmd, error) {
	grammar, args := &cli{}, []string{"server"}
	if config != "" {
		args = append(args, "--config", config)
	}
	own := *p
	if _, err := own.parse(grammar, args, own.grammarOptions(grammar)...); err != nil {
		return nil, err
	}
	if _, err := grammar.Server.options(&own); err != nil {
		return nil, err
	}
	return &grammar.Server, nil
}

func (d *doctor) checkServer(context.Context) {
	switch {
	case d.status != nil:
		d.add(levelOK, "server", "", "it runs: version %s since %s", d.status.Version, clock(d.status.StartTime))
		if d.status.Version != version {
			d.add(levelWarn, "server", "restart the server", "it runs version %s, and this program is %s", d.status.Version, version)
		}
		for _, fault := range d.status.Faults {
			if !strings.HasPrefix(fault, "the disk: ") { // see checkDisks
				d.add(levelFail, "server", "", "%s", fault)
			}
		}
		for _, notice := range d.status.Notices {
			d.add(levelWarn, "server", "", "%s", notice)
		}
		if d.status.Triggers.Paused {
			d.add(levelWarn, "triggers", "jetstream trigger resume", "the queue is paused, and %d runs wait", d.status.Triggers.Waiting)
		}
	case d.conn == nil:
		advice := "start it; what needs it is not checked"
		switch _, err := os.Stat(filepath.Join(d.stateDir, server.EndpointFile)); {
		case errors.Is(err, os.ErrPermission):
			advice = "it belongs to another user: run doctor as root or as that user"
		case err == nil:
			advice = "it may have ended without a stop, or have no control socket, or another user: see its log, and run doctor as root"
		}
		d.add(levelWarn, "server", advice, "no server answers on %s", d.stateDir)
	}
}

func (d *doctor) checkDatabase(context.Context) {
	have, program, err := store.Schema(d.stateDir)
	if d.status != nil {
		have, err = d.status.Schema, nil
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		d.add(levelWarn, "database", "the first start makes it; else name the state directory with --persistent-state-dir", "there is none in %s", d.stateDir)
	case errors.Is(err, os.ErrPermission):
		d.add(levelWarn, "database", "run doctor as root or as the server's user", "it may not be read: %s", d.stateDir)
	case err != nil:
		d.add(levelFail, "database", "restore it from a backup", "%v", err)
	case have > program:
		d.add(levelFail, "database", "install that version again", "it was made by a newer JetStream: schema %d, this one knows %d", have, program)
	case have < program:
		d.add(levelOK, "database", "", "schema %d; the next start of this version makes it %d", have, program)
	default:
		d.add(levelOK, "database", "", "schema %d", have)
	}
}

func (d *doctor) checkDisks(context.Context) {
	disks := []handlers.Disk{}
	floor, err := diskspace.Parse(d.settings.MinFree)
	if err != nil { // checkSettings says so
		floor = diskspace.Auto()
	}
	if d.status != nil {
		disks = d.status.Disks
	} else {
		for _, dir := range []struct{ what, dir string }{{"state", d.stateDir}, {"files", server.SandboxRoot(d.sandboxTemplate())}} {
			if space, err := diskspace.Of(dir.dir); err == nil && space.Total > 0 {
				disks = append(disks, handlers.Disk{What: dir.what, Dir: dir.dir, Free: int64(space.Free), Total: int64(space.Total),
					Floor: int64(floor.On(space.Total)), Short: floor.Short(space)})
			}
		}
	}
	for _, one := range disks {
		level, advice := levelOK, ""
		switch {
		case one.Short:
			level, advice = levelFail, fmt.Sprintf("make room: transfers that would arrive wait while less than %s is free (--min-free)", diskspace.Size(uint64(one.Floor)))
		case one.Free < 2*one.Floor:
			level, advice = levelWarn, fmt.Sprintf("make room: at %s transfers that would arrive begin to wait (--min-free)", diskspace.Size(uint64(one.Floor)))
		}
		d.add(level, "disk", advice, "%s of %s free in %s, for %s", diskspace.Size(uint64(one.Free)), diskspace.Size(uint64(one.Total)), one.Dir, one.What)
	}
}

// sandboxTemplate is the sandbox directory of users without one of their own.
func (d *doctor) sandboxTemplate() string {
	if d.settings.SandboxDir != "" {
		return d.settings.SandboxDir
	}
	return server.DefaultSandboxDir(d.stateDir)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}
