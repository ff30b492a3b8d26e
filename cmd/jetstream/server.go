package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

// serverCmd holds the flags of jetstream server; kong writes straight into it.
type serverCmd struct {
	APIHost         string   `name:"api-host" default:"127.0.0.1" help:"Address that the control API listens on."`
	APIPort         uint16   `name:"api-port" default:"8886" help:"Port of the control API; 0 picks a free one."`
	APIAllowedHost  []string `name:"api-allowed-host" help:"Another name that clients may call this server by; repeatable."`
	RecvHost        string   `name:"recv-host" default:"" help:"Address that transfers are received on (all)."`
	RecvPort        uint16   `name:"recv-port" default:"8887" help:"Port that transfers are received on; 0 picks a free one."`
	ExternalAddress string   `name:"external-address" help:"Host name or address that others reach this server by."`

	TLSCert        string `name:"tls-cert" type:"path" help:"Certificate chain of the control API, PEM."`
	TLSKey         string `name:"tls-key" type:"path" help:"Key of --tls-cert, PEM."`
	AllowPlaintext bool   `name:"allow-plaintext" help:"Offer the control API beyond loopback without TLS: passwords cross the network readable."`

	PersistentStateDir string `name:"persistent-state-dir" type:"path" help:"Directory of the database and the keys (${default_state_dir})."`
	SandboxDir         string `name:"sandbox-dir" type:"path" help:"Directory that / means for users without a sandbox of their own; %u is the user's name (files/%u beside the state directory)."`

	TriggerDir         string        `name:"trigger-dir" type:"path" help:"Directory of the trigger scripts; without it there are no triggers."`
	TriggerOnAPI       bool          `name:"trigger-on-api" help:"Run the script on.<command> after each API command."`
	TriggerLog         bool          `name:"trigger-log" help:"Log which scripts run and print their output on the console."`
	TriggerTimeout     time.Duration `name:"trigger-timeout" default:"0s" help:"End a script that runs longer; 0 is never."`
	TriggerGrace       time.Duration `name:"trigger-grace" default:"5s" help:"Time between the polite signal to a script that must end and the killing one."`
	TriggerKeep        int           `name:"trigger-keep" default:"10000" help:"How many records of ended runs to keep."`
	TriggerOrder       string        `name:"trigger-order" default:"global" enum:"global,key,none" help:"Which scripts may run side by side (${enum}): none of them; those of different transfers, destinations or users; all."`
	TriggerConcurrency int           `name:"trigger-concurrency" default:"4" help:"How many scripts run at a time at most with --trigger-order key or none."`
	TriggerQueueMax    int           `name:"trigger-queue-max" default:"100000" help:"How many runs may wait before events of API commands are dropped."`
	TriggerEnv         []string      `name:"trigger-env" help:"Name of another environment variable that scripts get; repeatable."`

	Log       string `name:"log" type:"path" help:"Write the log to this file as well as to the console."`
	LogLevel  string `name:"log-level" default:"info" enum:"debug,info,warn,error" help:"Least level that is logged: ${enum}."`
	LogFormat string `name:"log-format" default:"auto" enum:"auto,text,json" help:"Form of the log on the console: ${enum}; auto is text on a terminal, else json."`

	ShutdownGrace time.Duration `name:"shutdown-grace" default:"30s" help:"How long a running script may go on when the server stops."`
}

// Run checks the flags, then runs the server until ctx ends.
func (c *serverCmd) Run(ctx context.Context, p *program) error {
	if err := c.complete(p.Getenv); err != nil {
		return err
	}
	if p.Getenv("GOGC") == "" {
		// What lives is little, a few MiB: collecting the garbage of requests
		// as often as Go would costs a fifth of their time.
		debug.SetGCPercent(200)
	}
	log, closeLog, err := c.logger(p.Stderr)
	if err != nil {
		return err
	}
	err = serve(ctx, c, p, log)
	return errors.Join(err, closeLog())
}

// complete fills in what depends on the place, and refuses flags that do not
// fit together. Everything it says is about a flag: exit status 2.
func (c *serverCmd) complete(getenv func(string) string) error {
	if c.PersistentStateDir == "" {
		dir, err := defaultStateDir(getenv)
		if err != nil {
			return err
		}
		c.PersistentStateDir = dir
	}
	if c.SandboxDir == "" {
		c.SandboxDir = filepath.Join(filepath.Dir(c.PersistentStateDir), "files", "%u")
	}
	for flag, host := range map[string]string{"--api-host": c.APIHost, "--recv-host": c.RecvHost} {
		if strings.ContainsAny(host, "/ ") || strings.Contains(host, ":") && !isIP(host) {
			return usagef("%s %q is no address; give a host name or an IP without the port", flag, host)
		}
	}
	if c.ExternalAddress != "" {
		if _, _, err := transfer.ParseAddress(c.ExternalAddress, nil); err != nil {
			return usagef("--external-address %s", strings.TrimPrefix(api.ErrorOf(err).Message, "destinationAddress "))
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return usagef("--tls-cert and --tls-key go together")
	}
	if c.TLSCert == "" && !c.AllowPlaintext && !isLoopback(c.APIHost) {
		return usagef("--api-host %s offers the control API beyond this machine without TLS: give --tls-cert and --tls-key, "+
			"or --allow-plaintext if something else protects it", c.APIHost)
	}
	for flag, d := range map[string]time.Duration{"--trigger-timeout": c.TriggerTimeout, "--trigger-grace": c.TriggerGrace, "--shutdown-grace": c.ShutdownGrace} {
		if d < 0 {
			return usagef("%s may not be negative", flag)
		}
	}
	if c.TriggerKeep < 1 {
		return usagef("--trigger-keep must be at least 1")
	}
	if c.TriggerQueueMax < 1 {
		return usagef("--trigger-queue-max must be at least 1")
	}
	if c.TriggerConcurrency < 1 || c.TriggerConcurrency > triggers.MaxConcurrency {
		return usagef("--trigger-concurrency must be 1 to %d", triggers.MaxConcurrency)
	}
	if c.TriggerDir == "" && (c.TriggerOnAPI || c.TriggerLog) {
		return usagef("--trigger-on-api and --trigger-log need --trigger-dir")
	}
	if c.TriggerDir != "" {
		// What cannot be looked at is met when it is opened.
		if overlap, err := account.Overlap(c.TriggerDir, c.PersistentStateDir); err == nil && overlap {
			return usagef("--trigger-dir %s and --persistent-state-dir %s overlap: the server keeps its own files in the one and "+
				"runs what lies in the other; neither may be or hold the other", c.TriggerDir, c.PersistentStateDir)
		}
	}
	for _, name := range c.TriggerEnv {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return usagef("--trigger-env %q is no name of an environment variable", name)
		}
	}
	return nil
}

// defaultStateDir is /var/lib/jetstream/state for root, else a directory in
// the user's own state directory.
func defaultStateDir(getenv func(string) string) (string, error) {
	if runtime.GOOS != "windows" && os.Geteuid() == 0 {
		return "/var/lib/jetstream/state", nil
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

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}

// listen opens a TCP port and says for people what is wrong when it cannot.
func listen(ctx context.Context, flag, host string, port uint16) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, errAddressInUse):
		return nil, fmt.Errorf("port %d is taken by another program; stop it or choose another with %s-port (0 picks a free one)", port, flag)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("port %d may not be opened by this user; choose one above 1023 with %s-port", port, flag)
	}
	return nil, fmt.Errorf("cannot listen on %s port %d: %w; see %s-host and %s-port", orAll(host), port, err, flag, flag)
}

func orAll(host string) string {
	if host == "" {
		return "all addresses"
	}
	return host
}

// sandboxRoot is the part of the sandbox template above the user's name.
func sandboxRoot(template string) string {
	for strings.Contains(template, "%u") {
		template = filepath.Dir(template)
	}
	return template
}
