package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/client"
	"jetstream/internal/server"
	"jetstream/triggers"
)

const (
	// runsTime bounds the wait for trigger runs, which are looked at every
	// pollTime.
	runsTime = 2 * time.Minute
	pollTime = 100 * time.Millisecond
)

// site is one of the demonstration's servers, with a directory of its own.
type site struct {
	d          *demo
	name       string
	dir        string
	user       string
	password   string // of the user and of admin
	transferID string

	endpoint server.Endpoint
	stop     func() error // stops the server; does nothing when none runs
}

func newSite(d *demo, name, user string) *site {
	return &site{d: d, name: name, user: user, password: newPassword(),
		dir: filepath.Join(d.dir, "site-"+strings.ToLower(name)), stop: func() error { return nil }}
}

func (s *site) stateDir() string   { return filepath.Join(s.dir, "state") }
func (s *site) triggerDir() string { return filepath.Join(s.dir, "triggers") }
func (s *site) logFile() string    { return filepath.Join(s.triggerDir(), "log.txt") }

// sandbox is the user's: the server's default, beside the state directory.
func (s *site) sandbox() string { return filepath.Join(s.dir, "files", s.user) }

// addUsers makes the site's directories and its users.
func (s *site) addUsers(ctx context.Context) error {
	for _, dir := range []string{s.triggerDir(), s.sandbox()} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	return server.WithAccounts(ctx, s.stateDir(), nil, func(accounts *account.Service) error {
		_, err := accounts.Create(ctx, account.NewUser{Name: "admin", Password: s.password, Superuser: true})
		if err == nil {
			_, err = accounts.Create(ctx, account.NewUser{Name: s.user, Password: s.password})
		}
		return err
	})
}

// start starts the server. It runs until stop, also when ctx ends.
func (s *site) start(ctx context.Context) error {
	console, err := os.OpenFile(filepath.Join(s.dir, "server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	o := s.d.Server
	o.StateDir, o.TriggerDir, o.TriggerLog, o.RecvHost = s.stateDir(), s.triggerDir(), true, "127.0.0.1"
	o.Log, o.Console = slog.New(slog.NewJSONHandler(console, nil)), console
	srv, err := server.New(ctx, o)
	if err != nil {
		return errors.Join(fmt.Errorf("the server of site %s could not be started: %w", s.name, err), console.Close())
	}
	s.endpoint = srv.Endpoint()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(srv.Serve(ctx), console.Close()) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	return nil
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
