package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"jetstream/gateway"
	"jetstream/handlers"
	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/retention"
	"jetstream/internal/files"
	"jetstream/internal/store"
	"jetstream/internal/stream"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/receiver"
	"jetstream/internal/transfer/sender"
	"jetstream/internal/transfer/wire"
	"jetstream/middleware"
	"jetstream/openapi"
	"jetstream/triggers"
	"jetstream/web"
)

// server is the whole graph of one running server. Each part that must be
// closed registers it in closers while the graph is built; stopping walks the
// list backwards, and so does a start that fails half-way.
type server struct {
	c   *serverCmd
	p   *program
	log *slog.Logger

	serverID, serverUID string
	revision            string
	hostName            string // of this machine at the start
	startTime           api.Time

	db        *store.DB
	identity  *wire.Identity
	stream    *stream.Log
	accounts  *account.Service
	triggers  *triggers.Engine
	engine    *transfer.Engine
	receiver  *receiver.Receiver
	sender    *sender.Sender
	gateway   *gateway.Gateway
	metrics   *metrics
	files     *files.Service
	collector *retention.Collector
	stop      context.CancelFunc // ends serve's context

	apiListener, recvListener net.Listener
	certificate               *certificate // nil without TLS

	closers []func() error
}

// serve builds the server, runs it until ctx ends, and takes it down again.
func serve(ctx context.Context, c *serverCmd, p *program, log *slog.Logger) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s := &server{c: c, p: p, log: log, serverID: api.NewID(), revision: revision(), hostName: hostName(), startTime: api.Now(), metrics: newMetrics(), stop: stop}
	defer func() {
		for _, closer := range slices.Backward(s.closers) {
			err = errors.Join(err, closer())
		}
	}()
	for _, build := range []func(context.Context) error{
		s.openState, s.openListeners, s.openStream, s.openAccounts, s.openTriggers, s.openTransfers, s.openUpkeep, s.openGateway, s.firstUser,
	} {
		if err := build(ctx); err != nil {
			return unlessStopped(ctx, err)
		}
	}
	return unlessStopped(ctx, s.run(ctx))
}

// unlessStopped is err, but nil where it only says that ctx has ended: a server
// that is stopped while it starts has not failed.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (s *server) onClose(f func() error) { s.closers = append(s.closers, f) }

// openState takes the state directory and opens what is kept there.
func (s *server) openState(ctx context.Context) error {
	dir := s.c.PersistentStateDir
	if err := store.PrepareDir(dir); err != nil {
		return err
	}
	unlock, err := store.Lock(dir)
	if err != nil {
		return err
	}
	s.onClose(unlock)
	if s.db, err = store.OpenServer(ctx, dir); err != nil {
		return err
	}
	s.onClose(s.db.Close)
	if s.serverUID, err = s.db.Meta(ctx, "serverUid"); err != nil {
		return err
	}
	if s.serverUID == "" {
		s.serverUID = api.NewID()
		if err := s.db.SetMeta(ctx, "serverUid", s.serverUID); err != nil {
			return err
		}
	}
	s.identity, err = wire.LoadIdentity(dir)
	return err
}

// openListeners opens both ports before anything runs, so that a taken port
// is met while nothing has happened yet.
func (s *server) openListeners(ctx context.Context) (err error) {
	if s.c.TLSCert != "" {
		if s.certificate, err = openCertificate(s.c.TLSCert, s.c.TLSKey, s.log); err != nil {
			return err
		}
	}
	if s.apiListener, err = listen(ctx, "--api", s.c.APIHost, s.c.APIPort); err != nil {
		return err
	}
	s.onClose(closeListener(s.apiListener))
	if s.recvListener, err = listen(ctx, "--recv", s.c.RecvHost, s.c.RecvPort); err != nil {
		return err
	}
	s.onClose(closeListener(s.recvListener))
	return nil
}

// closeListener closes ln unless its server has done so already.
func closeListener(ln net.Listener) func() error {
	return func() error {
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

func (s *server) openAccounts(context.Context) error {
	protected := []account.Protected{{What: "state directory", Path: s.c.PersistentStateDir, Secret: true}}
	if s.c.TriggerDir != "" {
		protected = append(protected, account.Protected{What: "trigger directory", Path: s.c.TriggerDir, Scripts: true})
	}
	if program, err := os.Executable(); err == nil {
		protected = append(protected, account.Protected{What: "program file", Path: program})
	}
	if err := account.CheckOverlap(sandboxRoot(s.c.SandboxDir), account.Read, protected); err != nil {
		return fmt.Errorf("%s; see --sandbox-dir", api.ErrorOf(err).Message)
	}
	s.accounts = account.New(s.db.Accounts(), account.Options{SandboxDir: s.c.SandboxDir, Protected: protected, Log: s.log})
	return nil
}

// firstUser makes the user admin when there is nobody yet. Its password is
// shown once, on the terminal, or kept in a file that only the owner reads.
func (s *server) firstUser(ctx context.Context) error {
	password, made, err := s.accounts.EnsureAdmin(ctx)
	if err != nil || !made {
		return err
	}
	if isTerminal(s.p.Stderr) {
		_, err := fmt.Fprintf(s.p.Stderr, "\n  First start: log in as admin with the password %s\n  It is not shown again.\n\n", password)
		return err
	}
	path := filepath.Join(s.c.PersistentStateDir, "initial-password")
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("the first password cannot be kept: %w", err)
	}
	s.log.InfoContext(ctx, "first start: user admin was made; delete the file once you have changed its password", "passwordFile", path)
	return nil
}

func (s *server) openTransfers(context.Context) (err error) {
	_, recvPort := hostPort(s.recvListener)
	if s.engine, err = transfer.New(transfer.Options{
		Store: s.db.Transfers(), Emitter: s.triggers, Stream: s.stream, Accounts: s.accounts, SealKey: s.identity.SealKey(),
		RecvHost: s.c.RecvHost, RecvPort: recvPort, ExternalAddress: s.c.ExternalAddress, Log: s.log,
	}); err != nil {
		return err
	}
	if s.receiver, err = receiver.New(receiver.Options{
		Store: s.db.Received(), Clients: s.db.Received(), Emitter: s.triggers, Stream: s.stream, Accounts: s.accounts, Identity: s.identity, ServerUID: s.serverUID, Log: s.log,
	}); err != nil {
		return err
	}
	s.sender, err = sender.New(sender.Options{Engine: s.engine, Identity: s.identity, ServerUID: s.serverUID, Log: s.log})
	return err
}

func (s *server) openGateway(context.Context) error {
	registry := handlers.Commands(handlers.Deps{
		Server: s, Accounts: s.accounts, Triggers: s.triggers, Engine: s.engine, Receiver: s.receiver,
		Files: s.files, Collector: s.collector, EventLog: s.stream,
	})
	document, err := openAPIDocument(registry)
	if err != nil {
		return err
	}
	auth := authenticator{s.accounts}
	s.gateway = gateway.New(gateway.Options{
		Registry: registry, Auth: auth, Sessions: auth, Log: s.log, Hosts: s.hostNames(), Observers: s.observers(registry),
		Events: s.follow, Standing: s.standing,
		Healthy: s.healthy, Facts: s.facts, Metrics: s.metrics.handler(s), Replays: keptReplies{s.db.Replays(s.identity.SealKey())}, Secure: s.certificate != nil,
		OpenAPI: document, Docs: openapi.Docs(), Web: web.Handler(),
	})
	return nil
}

// observers are told of every command that was processed.
func (s *server) observers(registry *api.Registry) []middleware.Observer {
	observers := []middleware.Observer{s.logCommand, s.metrics.observe}
	if s.c.TriggerOnAPI {
		observers = append(observers, s.emitCommand(registry))
	}
	return observers
}

// run serves until ctx ends. The first part that fails stops all others.
func (s *server) run(ctx context.Context) error {
	apiHost, apiPort := hostPort(s.apiListener)
	_, recvPort := hostPort(s.recvListener)
	if err := s.writeEndpoint(apiHost, apiPort, recvPort); err != nil {
		return err
	}
	// Whoever stops it from here on has seen its endpoint: it starts whole, then stops.
	starting := context.WithoutCancel(ctx)
	if err := s.tellStarted(starting, apiPort, recvPort); err != nil {
		return err
	}
	if err := s.emitLaunch(starting, apiHost, apiPort); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "JetStream is listening", "apiHost", apiHost, "apiPort", apiPort, "tls", s.certificate != nil,
		"recvPort", recvPort, "version", version, "stateDir", s.c.PersistentStateDir, "triggerDir", s.c.TriggerDir, "publicKey", s.identity.PublicKey())

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.stream.Serve(ctx) })
	group.Go(func() error { return s.accounts.Serve(ctx) })
	group.Go(func() error { return s.triggers.Serve(ctx) })
	group.Go(func() error { return s.engine.Serve(ctx) })
	group.Go(func() error { return s.collector.Serve(ctx) })
	group.Go(func() error { return s.receiver.Serve(ctx, s.recvListener) })
	group.Go(func() error { return s.sender.Serve(ctx) })
	group.Go(func() error { return s.gateway.Serve(ctx, s.secured(s.apiListener)) })
	group.Go(func() error {
		<-ctx.Done()
		s.log.Info("stopping: no new work is accepted")
		s.tellStopping()
		return nil
	})
	err := group.Wait()
	s.report()
	return err
}

// secured wraps the API's listener with TLS where a certificate was given.
func (s *server) secured(ln net.Listener) net.Listener {
	if s.certificate == nil {
		return ln
	}
	return s.certificate.listener(ln)
}

func hostPort(ln net.Listener) (host string, port int) {
	h, p, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return "", 0
	}
	port, _ = strconv.Atoi(p)
	return h, port
}

// logCommand writes one line for each processed command: the audit trail.
// Commands that only look are at level debug.
func (s *server) logCommand(ctx context.Context, r *middleware.Record) {
	level := slog.LevelInfo
	if r.Command.Method == "GET" {
		level = slog.LevelDebug
	}
	s.log.LogAttrs(ctx, level, "command", slog.String("command", r.Command.Name), slog.String("user", r.Caller.User),
		slog.String("status", string(r.Status)), slog.String("message", r.Message), slog.String("requestId", r.Caller.RequestID),
		slog.Duration("duration", r.Duration.Round(time.Microsecond)))
}
