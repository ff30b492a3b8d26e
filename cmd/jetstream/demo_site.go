package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jetstream/internal/client"
	"jetstream/internal/server"
	"jetstream/triggers"
)

const (
	// startTime bounds a server's start, runsTime the wait for trigger runs,
	// stopTime a polite stop.
	startTime = 30 * time.Second
	runsTime  = 2 * time.Minute
	stopTime  = 40 * time.Second
	// pollTime is how often files and runs are looked at.
	pollTime = 100 * time.Millisecond
)

// site is one of the demonstration's servers: a child process of this very
// program, with a directory of its own.
type site struct {
	d            *demo
	binary, name string
	dir          string
	user         string
	password     string // of the user and of admin
	transferID   string

	child    *exec.Cmd
	ended    chan error // gets the child's end, once
	endpoint server.Endpoint
}

func newSite(d *demo, binary, name, user string) *site {
	return &site{d: d, binary: binary, name: name, user: user, password: newPassword(),
		dir: filepath.Join(d.dir, "site-"+strings.ToLower(name))}
}

func (s *site) stateDir() string   { return filepath.Join(s.dir, "state") }
func (s *site) triggerDir() string { return filepath.Join(s.dir, "triggers") }
func (s *site) logFile() string    { return filepath.Join(s.triggerDir(), "log.txt") }
func (s *site) console() string    { return filepath.Join(s.dir, "server.log") }

// sandbox is the user's: the server's default, beside the state directory.
func (s *site) sandbox() string { return filepath.Join(s.dir, "files", s.user) }

// environ is the environment without what would steer a server or a client.
func (s *site) environ(extra ...string) []string {
	env := slices.DeleteFunc(slices.Clone(s.d.p.Environ), func(v string) bool { return strings.HasPrefix(v, "JETSTREAM_") })
	return append(env, extra...)
}

// addUsers makes the site's directories and its users with jetstream user.
func (s *site) addUsers(ctx context.Context) error {
	for _, dir := range []string{s.triggerDir(), s.sandbox()} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"admin", "--superuser"}, {s.user}} {
		args = append([]string{"user", "add", "--persistent-state-dir", s.stateDir()}, args...)
		add := exec.CommandContext(ctx, s.binary, args...)
		add.Env = s.environ(userPasswordVariable + "=" + s.password)
		if out, err := add.CombinedOutput(); err != nil {
			return fmt.Errorf("jetstream user add failed at site %s: %w: %s", s.name, err, out)
		}
	}
	return nil
}

// start starts the server and returns once both its ports listen.
func (s *site) start(ctx context.Context) error {
	console, err := os.OpenFile(s.console(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = console.Close() }() // the child has its own descriptor
	// Not bound to ctx: stop ends it politely, and KEEP not at all.
	child := exec.Command(s.binary, "server", "--api-host", "127.0.0.1", "--api-port", "0", //nolint:noctx // see above
		"--recv-host", "127.0.0.1", "--recv-port", "0",
		"--persistent-state-dir", s.stateDir(), "--trigger-dir", s.triggerDir(), "--trigger-log")
	child.Env, child.Dir = s.environ(), s.dir
	child.Stdout, child.Stderr = console, console
	child.SysProcAttr = ownGroup() // Ctrl-C is for us; we stop it in order
	if err := child.Start(); err != nil {
		return fmt.Errorf("the server of site %s could not be started: %w", s.name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	s.child, s.ended = child, ended

	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	file := filepath.Join(s.stateDir(), server.EndpointFile)
	for {
		if text, err := os.ReadFile(file); err == nil {
			return json.Unmarshal(text, &s.endpoint)
		}
		select {
		case err := <-s.ended:
			s.child = nil
			return fmt.Errorf("the server of site %s ended at once (%w); its log says:\n%s", s.name, err, s.consoleTail())
		case <-ctx.Done():
			return fmt.Errorf("the server of site %s did not come up (%w); its log says:\n%s", s.name, ctx.Err(), s.consoleTail())
		case <-time.After(pollTime):
		}
	}
}

// consoleTail is the end of what the server printed.
func (s *site) consoleTail() string {
	const most = 4 << 10
	text, err := os.ReadFile(s.console())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

// stop ends the server: politely, then by force. It does nothing when none runs.
func (s *site) stop() error {
	if s.child == nil {
		return nil
	}
	child := s.child
	s.child = nil
	if err := terminate(child.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-s.ended:
		return err
	case <-time.After(stopTime):
	}
	err := fmt.Errorf("the server of site %s did not stop within %s and was killed", s.name, stopTime)
	if killErr := child.Process.Kill(); killErr != nil {
		return errors.Join(err, killErr)
	}
	return errors.Join(err, <-s.ended)
}

// connect makes a client that is logged in as user.
func (s *site) connect(user string) (*client.Client, error) {
	return client.New(client.Options{Host: "127.0.0.1", Port: s.endpoint.APIPort, User: user, Password: s.password})
}

// waitForRun waits until a run of event's script has ended: scripts run
// some time after their event, and nobody else waits for them.
func (s *site) waitForRun(ctx context.Context, event string) error {
	conn, err := s.connect("admin")
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, runsTime)
	defer cancel()
	for {
		list, err := client.As[struct {
			Runs []triggers.Run `json:"runs"`
		}](conn.Call(ctx, "getTriggerRuns", map[string]any{"event": event}))
		if err != nil {
			return fmt.Errorf("waiting for the script %s at site %s: %w", event, s.name, err)
		}
		ended := false
		for _, r := range list.Runs {
			switch r.Status {
			case triggers.StatusQueued, triggers.StatusRunning:
			case triggers.StatusSuccess:
				ended = true
			default:
				return fmt.Errorf("the script %s at site %s ended with status %s: %s %s", event, s.name, r.Status, r.ErrorMessage, r.Stderr.Text)
			}
		}
		if ended {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the script %s at site %s has not run within %s", event, s.name, runsTime)
		case <-time.After(pollTime):
		}
	}
}
