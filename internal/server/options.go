package server

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

// Options say what a server is and does. StateDir is needed; the zero value of
// every other field is a default or leaves something out.
type Options struct {
	// StateDir is the directory of the database and the keys, absolute. It is
	// made with mode 0700 where it is missing, and belongs to one server at a
	// time.
	StateDir string
	// SandboxDir is the directory that / means for users without a sandbox of
	// their own, absolute; %u in it is the user's name. Empty: files/%u beside
	// StateDir.
	SandboxDir string

	// APIHost is the address that the control API listens on. Empty: 127.0.0.1.
	APIHost string
	// APIPort is the port of the control API; 0 picks a free one.
	APIPort uint16
	// APIAllowedHosts are further names that clients may call this server by.
	APIAllowedHosts []string
	// RecvHost is the address that transfers are received on. Empty: all.
	RecvHost string
	// RecvPort is the port that transfers are received on; 0 picks a free one.
	RecvPort uint16
	// ExternalAddress is the host name or address that others reach this server
	// by. Empty: unknown.
	ExternalAddress string

	// NoControlSocket leaves out the control socket, the file control.sock in
	// StateDir. Windows has none.
	NoControlSocket bool

	// TLSCert and TLSKey are PEM files of the control API's certificate chain
	// and its key; they are read again when they have changed. Empty: no TLS.
	TLSCert, TLSKey string
	// AllowPlaintext lets the control API be offered beyond loopback without TLS.
	AllowPlaintext bool

	// TriggerDir is the directory of the trigger scripts, absolute. Empty:
	// there are no triggers. The fields below mean nothing then.
	TriggerDir string
	// TriggerOnAPI runs the script on.<command> after each API command.
	TriggerOnAPI bool
	// TriggerLog logs which scripts run and prints their output on Console.
	TriggerLog bool
	// TriggerTimeout ends a script that runs longer; 0 is never.
	TriggerTimeout time.Duration
	// TriggerGrace is the time between the polite signal to a script that must
	// end and the killing one; 0 is 5 s, below 0 none.
	TriggerGrace time.Duration
	// ShutdownGrace is how long a running script may go on when the server
	// stops; 0 is 30 s, below 0 none.
	ShutdownGrace time.Duration
	// TriggerKeep is how many records of ended runs are kept; 0 is 10,000.
	TriggerKeep int
	// TriggerOrder says which scripts may run side by side; empty: none.
	TriggerOrder triggers.Order
	// TriggerConcurrency is how many scripts run at a time at most, where
	// TriggerOrder lets them; 0 is 4.
	TriggerConcurrency int
	// TriggerQueueMax is how many runs may wait before events of API commands
	// are dropped; 0 is 100,000.
	TriggerQueueMax int
	// TriggerEnv names further variables of Environ that scripts get.
	TriggerEnv []string

	// Log gets what the operator should know; nil is silent.
	Log *slog.Logger
	// Console is where TriggerLog prints the scripts' output; nil: nowhere.
	Console io.Writer
	// Environ is the environment as NAME=value, of which scripts get a few.
	Environ []string
	// Path is the list of directories in which the scripts' interpreters are
	// looked for when TriggerDir is checked: the PATH of the environment.
	Path string
	// FirstPassword is given the password of the user admin, who is made when a
	// server starts without users; an error fails the start. nil: the password
	// is written to the file initial-password in StateDir, mode 0600.
	FirstPassword func(password string) error
	// Version and Revision are those of the program, for getServerInfo and the
	// API document. Empty: unknown.
	Version, Revision string
}

// option is the name of a field of Options.
type option string

// OptionError says what is wrong with an option, or with what an option names.
type OptionError struct {
	format string
	args   []any
}

func optionErrorf(format string, args ...any) *OptionError { return &OptionError{format, args} }

// Error calls the options as the fields are called.
func (e *OptionError) Error() string { return e.Message(func(field string) string { return field }) }

// Message calls the options as name does, which is given the name of a field.
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

// Check tells what is wrong with the options by themselves, as an
// *OptionError. New checks them too.
func (o *Options) Check() error {
	filled := *o
	filled.setDefaults()
	if !filepath.IsAbs(filled.StateDir) {
		return optionErrorf("%s %q is no absolute path", option("StateDir"), filled.StateDir)
	}
	for _, check := range []func() error{filled.checkSocket, filled.checkAddresses, filled.checkTriggers} {
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

// DefaultSandboxDir is the Options.SandboxDir of a server that is given none.
func DefaultSandboxDir(stateDir string) string {
	return filepath.Join(filepath.Dir(stateDir), "files", "%u")
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
	if o.TLSCert == "" && !o.AllowPlaintext && !isLoopback(o.APIHost) {
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
	// What cannot be looked at is met when it is opened.
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

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}

// SandboxRoot is the part of a sandbox directory above the user's name.
func SandboxRoot(template string) string {
	for strings.Contains(template, "%u") {
		template = filepath.Dir(template)
	}
	return template
}
