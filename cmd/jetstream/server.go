package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"jetstream/internal/bandwidth"
	"jetstream/internal/console"
	"jetstream/internal/server"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer/digest"
	"jetstream/triggers"
)

// serverCmd holds the flags of jetstream server. Those that are live a reload changes.
type serverCmd struct {
	Config string `name:"config" type:"path" placeholder:"FILE" help:"File of settings: lines of a name and a value, where the names are those of these flags (/etc/jetstream/server.conf, if it is there). A variable goes before the file, a flag before both."`
	Check  bool   `name:"check" help:"Check the settings, print them with where each is from, and do not start."`

	APIHost         string   `name:"api-host" default:"127.0.0.1" help:"Address that the control API listens on."`
	APIPort         uint16   `name:"api-port" default:"8886" help:"Port of the control API; 0 picks a free one."`
	APIAllowedHosts []string `name:"api-allowed-host" help:"Another name that clients may call this server by; repeatable."`
	RecvHost        string   `name:"recv-host" default:"" help:"Address that transfers are received on (all)."`
	RecvPort        uint16   `name:"recv-port" default:"8887" help:"Port that transfers are received on; 0 picks a free one."`
	ExternalAddress string   `name:"external-address" help:"Host name or address that others reach this server by."`

	NoControlSocket bool `name:"no-control-socket" help:"Leave out the control socket in the state directory, by which root and this user need no login."`

	TLSCert        string `name:"tls-cert" type:"path" help:"Certificate chain of the control API, PEM."`
	TLSKey         string `name:"tls-key" type:"path" help:"Key of --tls-cert, PEM."`
	AllowPlaintext bool   `name:"allow-plaintext" help:"Offer the control API beyond loopback without TLS: passwords cross the network readable."`

	TrustedProxies []string `name:"trusted-proxy" placeholder:"ADDRESS" help:"Address of a proxy, or network of proxies such as 10.0.0.0/24, whose header X-Forwarded-For names the client; repeatable. Without it the header is passed over."`
	AuditLog       string   `name:"audit-log" type:"path" placeholder:"FILE" help:"Append who did what, from where, with which result, to this file, a line of JSON each, as well as to the event log."`

	StateDir   string `name:"persistent-state-dir" type:"path" help:"Directory of the database and the keys (${default_state_dir})."`
	SandboxDir string `name:"sandbox-dir" type:"path" help:"Directory that / means for users without a sandbox of their own; %u is the user's name (files/%u beside the state directory)."`

	TriggerDir         string        `name:"trigger-dir" type:"path" help:"Directory of the trigger scripts; without it there are no triggers."`
	TriggerOnAPI       bool          `name:"trigger-on-api" help:"Run the script on.<command> after each API command."`
	TriggerLog         bool          `name:"trigger-log" help:"Log which scripts run and print their output on the console."`
	TriggerTimeout     time.Duration `name:"trigger-timeout" default:"0s" help:"End a script that runs longer; 0 is never." live:"true"`
	TriggerGrace       time.Duration `name:"trigger-grace" default:"5s" help:"Time between the polite signal to a script that must end and the killing one." live:"true"`
	TriggerKeep        int           `name:"trigger-keep" default:"10000" help:"How many records of ended runs to keep." live:"true"`
	TriggerOrder       string        `name:"trigger-order" default:"global" enum:"global,key,none" help:"Which scripts may run side by side (${enum}): none of them; those of different transfers, destinations or users; all."`
	TriggerConcurrency int           `name:"trigger-concurrency" default:"4" help:"How many scripts run at a time at most with --trigger-order key or none."`
	TriggerQueueMax    int           `name:"trigger-queue-max" default:"100000" help:"How many runs may wait before events of API commands are dropped." live:"true"`
	TriggerQueueBytes  int64         `name:"trigger-queue-bytes" default:"1073741824" help:"How many bytes of parameters of API commands may wait for scripts before such events are dropped; one user may have half of it." live:"true"`
	TriggerEnv         []string      `name:"trigger-env" help:"Name of another environment variable that scripts get; repeatable."`

	IncomingRateLimit  int64 `name:"incoming-rate-limit" placeholder:"KBIT/S" help:"Highest rate of all that is received, in kbit/s; with it or one of the next three the API cannot change them." live:"true"`
	OutgoingRateLimit  int64 `name:"outgoing-rate-limit" placeholder:"KBIT/S" help:"Highest rate of all that is sent, in kbit/s." live:"true"`
	BorrowIncomingRate bool  `name:"borrow-incoming-rate" help:"Let sending use what receiving leaves of its limit." live:"true"`
	BorrowOutgoingRate bool  `name:"borrow-outgoing-rate" help:"Let receiving use what sending leaves of its limit." live:"true"`

	Lanes      int    `name:"lanes" default:"4" help:"How many connections carry the data of a transfer that is sent, 1 to 16; to far receivers there are more, one for each 25 ms of the round trip, and on long fast lines more are added as needed."`
	Congestion string `name:"congestion" default:"auto" enum:"auto,bbr,cubic" help:"Congestion control of what is sent, on Linux (${enum}): auto is cubic to receivers nearby and BBR to others, or 16 lanes of the system's own where there is no BBR."`
	Policy     string `name:"policy" default:"fair" enum:"fair,low" help:"How lines are shared with others (${enum}): low is for shared lines, on Linux; it sends over one lane and slows down when it finds a queue."`

	Digest string `name:"digest" default:"xxh3-128" enum:"xxh3-128,blake3,sha256" help:"Algorithm of the digests of received files (${enum}); blake3 and sha256 cost more processor time."`

	RecvAbandonedAfter time.Duration `name:"recv-abandoned-after" default:"168h" help:"End an arriving transfer, and remove its parts, when its sender has stayed away for so long; 0 is never."`

	MinFree string `name:"min-free" default:"auto" placeholder:"SIZE" help:"While less than this is free where files arrive or where the state lies, transfers that would arrive wait: a size such as 500MiB, a percentage such as 2%, or auto, which is 5% and at most 1GiB; with 0 they fail when the disk is full."`

	RecordsMaxSize string `name:"records-max-size" default:"10GiB" placeholder:"SIZE" help:"How large the database may be: beyond it records of ended transfers, and manifests that no transfer needs, are removed before their time, the oldest first; 0 is no bound."`

	FileMode  string `name:"file-mode" placeholder:"MODE" help:"Mode of received files in octal, such as 0640, in place of that which the sender has."`
	DirMode   string `name:"dir-mode" placeholder:"MODE" help:"Mode of directories that are made for them, such as 2770."`
	FileGroup string `name:"file-group" placeholder:"GROUP" help:"Group of what is received, a name or a number, which must be one of the server's user's; else that which the file system gives, in setgid directories theirs."`

	Log       string `name:"log" type:"path" help:"Write the log to this file as well as to the console."`
	LogLevel  string `name:"log-level" default:"info" enum:"debug,info,warn,error" help:"Least level that is logged: ${enum}." live:"true"`
	LogFormat string `name:"log-format" default:"auto" enum:"auto,text,json" help:"Form of the log on the console: ${enum}; auto is text on a terminal, else json."`

	ShutdownGrace time.Duration `name:"shutdown-grace" default:"30s" help:"How long a running script may go on when the server stops." live:"true"`

	logLevel *slog.LevelVar
}

// Run checks the flags, then runs the server until ctx ends.
func (c *serverCmd) Run(ctx context.Context, p *program, parsed *kong.Context) error {
	o, err := c.options(p)
	if e, ok := errors.AsType[*usageError](err); ok {
		return p.settings.locate(e)
	}
	if err != nil {
		return err
	}
	if c.Check {
		return p.settings.show(p, parsed)
	}
	if p.Getenv("GOGC") == "" {
		// The live heap is a few MiB, so the default GC target would collect
		// often enough to cost a fifth of the requests' time.
		debug.SetGCPercent(150)
	}
	if err := closeInheritedOnExec(); err != nil {
		return fmt.Errorf("the descriptors that were open before cannot be kept from scripts: %w", err)
	}
	// Without a handler, writing to a console whose reader has gone would end
	// the server. Not signal.Ignore: scripts would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	device := p.Stderr
	p.console = console.Start(device)
	p.Stderr = p.console
	log, closeLog, err := c.logger(p.console, device)
	if err != nil {
		return err
	}
	p.console.ReportDrops(slog.New(c.consoleHandler(device, terminal.IsTerminal(device))))
	o.Log, o.Console = log, console.Lines{To: p.console}
	o.Reload = (&reloader{p: p, running: c}).reload
	return errors.Join(serve(ctx, o), closeLog())
}

func serve(ctx context.Context, o server.Options) error {
	s, err := server.New(ctx, o)
	if err == nil {
		stop := console.OnHangup(func() {
			if err := s.ReopenAuditLog(); err != nil {
				o.Log.Error("the audit log could not be reopened; the former file stays in use", "error", err)
			}
		})
		err = s.Serve(ctx)
		stop()
	}
	if e, ok := errors.AsType[*server.OptionError](err); ok {
		return errors.New(e.Message(flagOf))
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // a server that is stopped while it starts has not failed
	}
	return err
}

// options converts the flags into server.Options. Every error is a usage error:
// exit status 2.
func (c *serverCmd) options(p *program) (o server.Options, err error) {
	if c.StateDir == "" {
		if c.StateDir, err = defaultStateDir(p.Getenv); err != nil {
			return o, err
		}
	}
	for flag, d := range map[string]time.Duration{"--trigger-timeout": c.TriggerTimeout, "--trigger-grace": c.TriggerGrace, "--shutdown-grace": c.ShutdownGrace, "--recv-abandoned-after": c.RecvAbandonedAfter} {
		if d < 0 {
			return o, usagef("%s may not be negative", flag)
		}
	}
	for flag, n := range map[string]int{"--trigger-keep": c.TriggerKeep, "--trigger-queue-max": c.TriggerQueueMax, "--trigger-concurrency": c.TriggerConcurrency} {
		if n < 1 {
			return o, usagef("%s must be at least 1", flag)
		}
	}
	if c.Lanes < 1 {
		return o, usagef("--lanes must be at least 1")
	}
	limits := bandwidth.Limits{Incoming: c.IncomingRateLimit, Outgoing: c.OutgoingRateLimit,
		BorrowIncoming: c.BorrowIncomingRate, BorrowOutgoing: c.BorrowOutgoingRate}
	for flag, n := range map[string]int64{"--incoming-rate-limit": limits.Incoming, "--outgoing-rate-limit": limits.Outgoing} {
		if n < 0 {
			return o, usagef("%s may not be negative", flag)
		}
	}
	if c.TriggerQueueBytes < 1 {
		return o, usagef("--trigger-queue-bytes must be at least 1")
	}
	o = server.Options{
		StateDir: c.StateDir, SandboxDir: c.SandboxDir,
		APIHost: c.APIHost, APIPort: c.APIPort, APIAllowedHosts: c.APIAllowedHosts,
		RecvHost: c.RecvHost, RecvPort: c.RecvPort, ExternalAddress: c.ExternalAddress,
		NoControlSocket: c.NoControlSocket, TLSCert: c.TLSCert, TLSKey: c.TLSKey, AllowPlaintext: c.AllowPlaintext,
		TrustedProxies: c.TrustedProxies, AuditLog: c.AuditLog,
		TriggerDir: c.TriggerDir, TriggerOnAPI: c.TriggerOnAPI, TriggerLog: c.TriggerLog,
		TriggerTimeout: c.TriggerTimeout, TriggerGrace: orNone(c.TriggerGrace), ShutdownGrace: orNone(c.ShutdownGrace),
		TriggerKeep: c.TriggerKeep, TriggerOrder: triggers.Order(c.TriggerOrder), TriggerConcurrency: c.TriggerConcurrency,
		TriggerQueueMax: c.TriggerQueueMax, TriggerQueueBytes: c.TriggerQueueBytes, TriggerEnv: c.TriggerEnv,
		RecvAbandonedAfter: orNone(c.RecvAbandonedAfter), Bandwidth: limits,
		Lanes: c.Lanes, Congestion: c.Congestion, Policy: c.Policy, Digest: digest.Algorithm(c.Digest), MinFree: c.MinFree,
		RecordsMaxSize: c.RecordsMaxSize, FileMode: c.FileMode, DirMode: c.DirMode, FileGroup: c.FileGroup,
		NotifySocket: p.Getenv("NOTIFY_SOCKET"), Watchdog: watchdog(p.Getenv),
		Environ: withoutNotify(p.Environ), Path: p.Getenv("PATH"), Version: version, Revision: revision(),
	}
	if terminal.IsTerminal(p.Stderr) {
		o.FirstPassword = func(password string) error {
			_, err := fmt.Fprintf(p.Stderr, "\n  First start: log in as admin with the password %s\n  It is not shown again.\n\n", password)
			return err
		}
	}
	if err := o.Check(); err != nil {
		if e, ok := errors.AsType[*server.OptionError](err); ok {
			return o, usagef("%s", e.Message(flagOf))
		}
		return o, err
	}
	return o, nil
}

// flagOf returns the flag for a field of server.Options; serverCmd has a field of
// the same name.
func flagOf(option string) string {
	f, _ := reflect.TypeFor[serverCmd]().FieldByName(option)
	return "--" + f.Tag.Get("name")
}

// orNone maps a flag's 0, which means none, to a negative value: 0 in
// server.Options is the default.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// systemStateDir is the state directory of a server run by root or by the user of the
// packages' service, whose home directory it is in.
const systemStateDir = "/var/lib/jetstream/state"

// stateDir is where commands look for the state of a server on this machine: the
// directory in its configuration file, or defaultStateDir.
func stateDir(getenv func(string) string) (string, error) {
	if dir := configuredStateDir(getenv); dir != "" {
		return dir, nil
	}
	return defaultStateDir(getenv)
}

// defaultStateDir is systemStateDir for root and for the packages' service, else a
// directory in the user's own state directory.
func defaultStateDir(getenv func(string) string) (string, error) {
	if runtime.GOOS != "windows" && (os.Geteuid() == 0 || getenv("HOME") == filepath.Dir(systemStateDir)) {
		return systemStateDir, nil
	}
	base := getenv("XDG_STATE_HOME")
	if runtime.GOOS == "windows" {
		base = getenv("LOCALAPPDATA")
	}
	if base == "" || !filepath.IsAbs(base) {
		home := getenv("HOME")
		if runtime.GOOS == "windows" {
			home = getenv("USERPROFILE")
		}
		if home == "" {
			return "", usagef("there is no home directory to keep state in; give --persistent-state-dir")
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "jetstream", "state"), nil
}
