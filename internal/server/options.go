package server

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jetstream/handlers"
	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/bandwidth"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/sender"
	"jetstream/internal/transfer/wire"
	"jetstream/triggers"
)

// Options configure a server. StateDir is required; the zero value of every
// other field selects a default or disables a feature.
type Options struct {
	// StateDir is the directory of the database and the keys, absolute. It is
	// created with mode 0700 if missing, and locked: one server at a time uses it.
	StateDir string
	// SandboxDir is the sandbox root of users that have none of their own,
	// absolute; %u in it is replaced by the user's name. Empty: files/%u next to
	// StateDir.
	SandboxDir string

	// APIHost is the address that the control API listens on. Empty: 127.0.0.1.
	APIHost string
	// APIPort is the port of the control API; 0 picks a free one.
	APIPort uint16
	// APIAllowedHosts are additional names accepted in the Host header.
	APIAllowedHosts []string
	// RecvHost is the address that transfers are received on. Empty: all.
	RecvHost string
	// RecvPort is the port that transfers are received on; 0 picks a free one.
	RecvPort uint16
	// Lanes is how many connections carry the data of a transfer that is sent at
	// first, up to 16; 0 is 4. Where the receiver is far there are more.
	Lanes int
	// Digest is the algorithm of the digests of received files; empty is
	// digest.Default.
	Digest digest.Algorithm
	// Congestion is the congestion control of what is sent: auto, bbr or cubic.
	// Empty: auto. Systems other than Linux let nobody choose.
	Congestion string
	// Policy is how links are shared with others: fair, or low, which leaves others
	// most of it. Empty: fair.
	Policy string
	// ExternalAddress is the host name or address under which other machines
	// reach this server. Empty: unknown.
	ExternalAddress string

	// NoControlSocket disables the control socket, the file control.sock in
	// StateDir. Windows has none.
	NoControlSocket bool

	// TLSCert and TLSKey are PEM files of the control API's certificate chain
	// and its key; they are reloaded when they change. Empty: no TLS.
	TLSCert, TLSKey string
	// AllowPlaintext allows APIHost to be no loopback address without TLS.
	AllowPlaintext bool

	// TriggerDir is the directory of the trigger scripts, absolute. Empty
	// disables triggers; the Trigger fields below are then ignored.
	TriggerDir string
	// TriggerOnAPI runs the script on.<command> after each API command.
	TriggerOnAPI bool
	// TriggerLog logs which scripts run and prints their output on Console.
	TriggerLog bool
	// TriggerTimeout bounds the run time of a script; 0 is unbounded.
	TriggerTimeout time.Duration
	// TriggerGrace is the time between asking a script to end and killing it;
	// 0 is 5 s, negative none.
	TriggerGrace time.Duration
	// ShutdownGrace is how long running scripts may continue when the server
	// stops; 0 is 30 s, negative none.
	ShutdownGrace time.Duration
	// TriggerKeep is how many records of ended runs are kept; 0 is 10,000.
	TriggerKeep int
	// TriggerOrder selects which scripts may run concurrently; empty: none.
	TriggerOrder triggers.Order
	// TriggerConcurrency bounds the scripts that run concurrently where
	// TriggerOrder allows it; 0 is 4.
	TriggerConcurrency int
	// TriggerQueueMax is how many runs may wait before events of API commands
	// are dropped; 0 is 100,000.
	TriggerQueueMax int
	// TriggerQueueBytes is how many bytes of parameters of such events may wait
	// before further ones are dropped; one user may have half of it. 0 means
	// 1 GiB.
	TriggerQueueBytes int64
	// TriggerEnv names additional variables of Environ to pass to scripts.
	TriggerEnv []string

	// Bandwidth are the limits of all transfers together, which the API cannot
	// change then. The zero value: those that the API has set.
	Bandwidth bandwidth.Limits

	// RecvAbandonedAfter is how long the sender of an unfinished transfer may
	// stay away before garbage collection ends it here; 0 is 7 days, negative
	// for ever.
	RecvAbandonedAfter time.Duration

	// Log receives the server's log; nil discards it.
	Log *slog.Logger
	// Console is where TriggerLog prints the scripts' output; nil: nowhere.
	Console io.Writer
	// Environ is the process's environment as NAME=value. Scripts get a few
	// variables of it and those in TriggerEnv.
	Environ []string
	// Path is the list of directories in which the scripts' interpreters are
	// looked for when TriggerDir is checked: the PATH of the environment.
	Path string
	// FirstPassword receives the password of the user admin, which is created
	// when a server starts without users; an error fails the start. nil: the password
	// is written to the file initial-password in StateDir, mode 0600.
	FirstPassword func(password string) error
	// Reload reads the settings again, applies to the server those that may change
	// while it runs, by Apply, and returns what has changed. nil: the command reload
	// renews the certificate alone.
	Reload func(context.Context, *Server) ([]handlers.SettingChange, error)
	// NotifySocket is the socket of the service manager, as in NOTIFY_SOCKET. Empty:
	// there is none.
	NotifySocket string
	// Watchdog is how soon the service manager wants a sign of life again and again; 0
	// is never.
	Watchdog time.Duration
	// Version and Revision are those of the program, for getServerInfo and the
	// API document. Empty: unknown.
	Version, Revision string
}

// option is the name of a field of Options.
type option string

// OptionError reports an invalid option, or an error of the file, directory or
// address that an option names.
type OptionError struct {
	format string
	args   []any
}

func optionErrorf(format string, args ...any) *OptionError { return &OptionError{format, args} }

// Error names options by their fields in Options.
func (e *OptionError) Error() string { return e.Message(func(field string) string { return field }) }

// Message is the error text with each option named by name(field).
func (e *OptionError) Message(name func(field string) string) string {
	args := make([]any, len(e.args))
	for i, arg := range e.args {
		if o, ok := arg.(option); ok {
			arg = name(string(o))
		}
		args[i] = arg
	}
	return fmt.Sprintf(e.format, args...)
}

// Unwrap returns the cause, if there is one.
func (e *OptionError) Unwrap() error {
	for _, arg := range e.args {
		if err, ok := arg.(error); ok {
			return err
		}
	}
	return nil
}

// Check returns an *OptionError for the first invalid option. New calls it too.
func (o *Options) Check() error {
	filled := *o
	filled.setDefaults()
	if !filepath.IsAbs(filled.StateDir) {
		return optionErrorf("%s %q is no absolute path", option("StateDir"), filled.StateDir)
	}
	for _, check := range []func() error{filled.checkSocket, filled.checkAddresses, filled.checkTriggers, filled.checkLanes} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) setDefaults() {
	if o.SandboxDir == "" && o.StateDir != "" {
		o.SandboxDir = DefaultSandboxDir(o.StateDir)
	}
	o.APIHost = cmp.Or(o.APIHost, "127.0.0.1")
	o.Version, o.Revision = cmp.Or(o.Version, "unknown"), cmp.Or(o.Revision, "unknown")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// DefaultSandboxDir returns the default of Options.SandboxDir.
func DefaultSandboxDir(stateDir string) string {
	return filepath.Join(filepath.Dir(stateDir), "files", "%u")
}

func (o *Options) checkLanes() error {
	if o.Lanes < 0 || o.Lanes > wire.MaxLanes {
		return optionErrorf("%s must be 1 to %d", option("Lanes"), wire.MaxLanes)
	}
	if o.Digest != "" {
		if _, err := digest.Parse(string(o.Digest)); err != nil {
			return optionErrorf("%s %q is not known", option("Digest"), o.Digest)
		}
	}
	if o.Congestion != "" && !slices.Contains(sender.Congestions(), o.Congestion) {
		return optionErrorf("%s %q is not known", option("Congestion"), o.Congestion)
	}
	if o.Policy != "" && !slices.Contains(sender.Policies(), o.Policy) {
		return optionErrorf("%s %q is not known", option("Policy"), o.Policy)
	}
	return nil
}

func (o *Options) checkAddresses() error {
	for _, a := range []struct {
		option option
		host   string
	}{{"APIHost", o.APIHost}, {"RecvHost", o.RecvHost}} {
		if strings.ContainsAny(a.host, "/ ") || strings.Contains(a.host, ":") && !isIP(a.host) {
			return optionErrorf("%s %q is no address; give a host name or an IP without the port", a.option, a.host)
		}
	}
	if o.ExternalAddress != "" {
		if _, _, err := transfer.ParseAddress(o.ExternalAddress, nil); err != nil {
			return optionErrorf("%s %s", option("ExternalAddress"), strings.TrimPrefix(api.ErrorOf(err).Message, "destinationAddress "))
		}
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return optionErrorf("%s and %s go together", option("TLSCert"), option("TLSKey"))
	}
	if o.TLSCert == "" && !o.AllowPlaintext && !IsLoopback(o.APIHost) {
		return optionErrorf("%s %s offers the control API beyond this machine without TLS: give %s and %s, or %s if something else protects it",
			option("APIHost"), o.APIHost, option("TLSCert"), option("TLSKey"), option("AllowPlaintext"))
	}
	return nil
}

func (o *Options) checkTriggers() error {
	if o.TriggerConcurrency < 0 || o.TriggerConcurrency > triggers.MaxConcurrency {
		return optionErrorf("%s must be 1 to %d", option("TriggerConcurrency"), triggers.MaxConcurrency)
	}
	for _, name := range o.TriggerEnv {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return optionErrorf("%s %q is no name of an environment variable", option("TriggerEnv"), name)
		}
	}
	if o.TriggerDir == "" {
		if o.TriggerOnAPI || o.TriggerLog {
			return optionErrorf("%s and %s need %s", option("TriggerOnAPI"), option("TriggerLog"), option("TriggerDir"))
		}
		return nil
	}
	// Other errors of Stat are reported when the directory is opened.
	if overlap, err := account.Overlap(o.TriggerDir, o.StateDir); err == nil && overlap {
		return optionErrorf("%s %s and %s %s overlap: the server keeps its own files in the one and runs what lies in the other; "+
			"neither may be or hold the other", option("TriggerDir"), o.TriggerDir, option("StateDir"), o.StateDir)
	}
	return nil
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// IsLoopback tells whether an API host is reached from this machine alone.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}

// SandboxRoot returns the part of a sandbox directory template above %u.
func SandboxRoot(template string) string {
	for strings.Contains(template, "%u") {
		template = filepath.Dir(template)
	}
	return template
}
