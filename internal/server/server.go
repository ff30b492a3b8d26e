// Package server builds and runs a whole JetStream server: state, accounts,
// triggers, transfers, the control API and the receiving side.
package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"jetstream/gateway"
	"jetstream/handlers"
	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/bandwidth"
	"jetstream/internal/files"
	"jetstream/internal/retention"
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

// lockWait bounds the wait for another process that holds the lock of the state
// directory.
const lockWait = 10 * time.Second

// Server is a JetStream server and its parts. closers closes the parts, which
// happens in reverse order of opening.
type Server struct {
	o   Options
	log *slog.Logger

	serverID, serverUID string
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
	link      *bandwidth.Link
	notify    *notifier
	// reloading is held during a reload, and guards bandwidthGiven: the limits that
	// the settings give.
	reloading      sync.Mutex
	bandwidthGiven bandwidth.Limits
	stop           context.CancelFunc // ends the context of Serve

	apiListener, recvListener net.Listener
	socket                    net.Listener // nil without a control socket
	certificate               *certificate // nil without TLS

	closers []func() error
}

// New opens the state directory and both ports and builds the server. An
// invalid option is an *OptionError. The caller must call Serve or Close.
func New(ctx context.Context, o Options) (*Server, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	o.setDefaults()
	s := &Server{o: o, log: o.Log, serverID: api.NewID(), hostName: hostName(), startTime: api.Now(), metrics: newMetrics(),
		notify: newNotifier(o.NotifySocket, o.Log)}
	for _, build := range []func(context.Context) error{
		s.openState, s.openListeners, s.openSocket, s.openStream, s.openAccounts, s.openTriggers, s.openTransfers, s.openUpkeep, s.openGateway, s.firstUser,
	} {
		if err := build(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Close releases a server on which Serve was not called.
func (s *Server) Close() (err error) {
	for _, closer := range slices.Backward(s.closers) {
		err = errors.Join(err, closer())
	}
	s.closers = nil
	return err
}

// Serve runs the server until ctx ends or the command terminate is called, and
// closes it. If one part fails, all others are stopped and its error returned.
func (s *Server) Serve(ctx context.Context) (err error) {
	ctx, s.stop = context.WithCancel(ctx)
	defer s.stop()
	err = s.run(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // stopped during the start
	}
	return errors.Join(err, s.Close())
}

func (s *Server) onClose(f func() error) { s.closers = append(s.closers, f) }

// openState locks the state directory and opens the database and keys in it.
func (s *Server) openState(ctx context.Context) error {
	dir := s.o.StateDir
	if err := store.PrepareDir(dir); err != nil {
		return err
	}
	begin := time.Now()
	db, err := openStore(ctx, dir)
	if errors.Is(err, store.ErrLocked) {
		s.log.InfoContext(ctx, "the state directory is in use by another process; waiting for its end", "stateDir", dir, "atMost", lockWait)
	}
	for errors.Is(err, store.ErrLocked) && time.Since(begin) < lockWait && ctx.Err() == nil {
		db, err = openStore(ctx, dir) // Open also waits for the lock, but only briefly
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	s.db = db
	s.onClose(db.Close)
	// Left by a killed server; it would announce that this one already listens.
	if err := os.Remove(filepath.Join(dir, EndpointFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
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

// openListeners opens both ports before anything runs, so that a port in use
// fails the start without side effects.
func (s *Server) openListeners(ctx context.Context) (err error) {
	if s.o.TLSCert != "" {
		if s.certificate, err = openCertificate(s.o.TLSCert, s.o.TLSKey, s.log); err != nil {
			return err
		}
	}
	if s.apiListener, err = listen(ctx, s.o.APIHost, s.o.APIPort, "APIHost", "APIPort"); err != nil {
		return err
	}
	s.onClose(closeListener(s.apiListener))
	if s.recvListener, err = listen(ctx, s.o.RecvHost, s.o.RecvPort, "RecvHost", "RecvPort"); err != nil {
		return err
	}
	s.onClose(closeListener(s.recvListener))
	return nil
}

func (s *Server) openAccounts(context.Context) error {
	protected := []account.Protected{{What: "state directory", Path: s.o.StateDir, Secret: true}}
	if s.o.TriggerDir != "" {
		protected = append(protected, account.Protected{What: "trigger directory", Path: s.o.TriggerDir, Scripts: true})
	}
	if program, err := os.Executable(); err == nil {
		protected = append(protected, account.Protected{What: "program file", Path: program})
	}
	if err := account.CheckOverlap(SandboxRoot(s.o.SandboxDir), account.Read, protected); err != nil {
		return optionErrorf("%s; see %s", api.ErrorOf(err).Message, option("SandboxDir"))
	}
	s.accounts = account.New(s.db.Accounts(), account.Options{SandboxDir: s.o.SandboxDir, Protected: protected, Log: s.log})
	return nil
}

// PasswordFile is the file in the state directory with the password of the user admin,
// whom a server without users makes.
const PasswordFile = "initial-password"

// firstUser creates the user admin when there are no users.
func (s *Server) firstUser(ctx context.Context) error {
	password, made, err := s.accounts.EnsureAdmin(ctx)
	if err != nil || !made {
		return err
	}
	if s.o.FirstPassword != nil {
		return s.o.FirstPassword(password)
	}
	path := filepath.Join(s.o.StateDir, PasswordFile)
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("the first password cannot be kept: %w", err)
	}
	s.log.InfoContext(ctx, "first start: user admin was made; delete the file once you have changed its password", "passwordFile", path)
	return nil
}

func (s *Server) openTransfers(ctx context.Context) (err error) {
	_, recvPort := hostPort(s.recvListener)
	if s.engine, err = transfer.New(transfer.Options{
		Store: s.db.Transfers(), Emitter: s.triggers, Stream: s.stream, Accounts: s.accounts, SealKey: s.identity.SealKey(),
		RecvHost: s.o.RecvHost, RecvPort: recvPort, ExternalAddress: s.o.ExternalAddress, Log: s.log,
	}); err != nil {
		return err
	}
	s.bandwidthGiven = s.o.Bandwidth
	if s.link, err = bandwidth.New(ctx, s.db, fixed(s.bandwidthGiven)); err != nil {
		return err
	}
	if s.receiver, err = receiver.New(receiver.Options{
		Incoming: &s.link.In, Digest: s.o.Digest,
		Store: s.db.Received(), Clients: s.db.Received(), Emitter: s.triggers, Stream: s.stream, Accounts: s.accounts, Identity: s.identity, ServerUID: s.serverUID, Log: s.log,
	}); err != nil {
		return err
	}
	s.sender, err = sender.New(sender.Options{
		Engine: s.engine, Identity: s.identity, ServerUID: s.serverUID, Log: s.log,
		Outgoing: &s.link.Out, Lanes: s.o.Lanes, Congestion: s.o.Congestion, Policy: s.o.Policy,
	})
	return err
}

func (s *Server) openGateway(context.Context) error {
	registry := handlers.Commands(handlers.Deps{
		Server: s, Accounts: s.accounts, Triggers: s.triggers, Engine: s.engine, Receiver: s.receiver, Sender: s.sender,
		Files: s.files, Collector: s.collector, Bandwidth: s.link, EventLog: s.stream,
	})
	auth := authenticator{s.accounts}
	s.gateway = gateway.New(gateway.Options{
		Registry: registry, Auth: auth, Sessions: auth, Log: s.log, Hosts: s.hostNames(), Capture: middleware.Capture(s.observers(registry)...),
		Events: s.follow, Standing: s.standing,
		Changeable: s.db.Present, Healthy: s.healthy, Facts: s.facts, Metrics: s.metrics.handler(s), Replays: keptReplies{s.db.Replays(s.identity.SealKey())}, Secure: s.certificate != nil,
		OpenAPI: openapi.Handler(func() ([]byte, error) { return document(registry, s.o.Version) }), Docs: openapi.Docs(), Web: web.Handler(),
	})
	return nil
}

// observers returns the observers that get the record of every processed command.
func (s *Server) observers(registry *api.Registry) []middleware.Observer {
	observers := []middleware.Observer{s.logCommand, s.metrics.observe}
	if s.o.TriggerOnAPI {
		observers = append(observers, s.emitCommand(registry))
	}
	return observers
}

// run is Serve without closing the server.
func (s *Server) run(ctx context.Context) error {
	if err := s.writeEndpoint(); err != nil {
		return err
	}
	// Once the endpoint file exists, a stop request waits for the start to complete.
	starting := context.WithoutCancel(ctx)
	e := s.Endpoint()
	if err := s.tellStarted(starting, e); err != nil {
		return err
	}
	if err := s.emitLaunch(starting, e); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "JetStream is listening", "apiHost", e.APIHost, "apiPort", e.APIPort, "tls", s.certificate != nil,
		"recvPort", e.RecvPort, "version", s.o.Version, "stateDir", s.o.StateDir, "triggerDir", s.o.TriggerDir, "publicKey", s.identity.PublicKey())

	s.notify.ready(s.status())
	watched, unwatch := context.WithCancel(starting)
	defer unwatch()
	go s.notify.watch(watched, s.o.Watchdog, watchdogPatience, s.answer)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.stream.Serve(ctx) })
	group.Go(func() error { return s.accounts.Serve(ctx) })
	group.Go(func() error { return s.triggers.Serve(ctx) })
	group.Go(func() error { return s.engine.Serve(ctx) })
	group.Go(func() error { return s.collector.Serve(ctx) })
	group.Go(func() error { return s.link.Serve(ctx) })
	group.Go(func() error { return s.receiver.Serve(ctx, s.recvListener) })
	group.Go(func() error { return s.sender.Serve(ctx) })
	group.Go(func() error { return s.gateway.Serve(ctx, s.secured(s.apiListener)) })
	if s.socket != nil {
		group.Go(func() error { return s.gateway.ServeSocket(ctx, s.socket) })
	}
	group.Go(func() error {
		<-ctx.Done()
		s.log.Info("stopping: no new work is accepted")
		s.notify.stopping(s.stopTime())
		s.tellStopping()
		return nil
	})
	err := group.Wait()
	s.report()
	return err
}

// secured wraps the API's listener with TLS where a certificate was given.
func (s *Server) secured(ln net.Listener) net.Listener {
	if s.certificate == nil {
		return ln
	}
	return s.certificate.listener(ln)
}

// logCommand writes one line for each processed command: the audit trail.
// Read-only commands are logged at level debug.
func (s *Server) logCommand(ctx context.Context, r *middleware.Record) {
	level := slog.LevelInfo
	if r.Command.Method == "GET" {
		level = slog.LevelDebug
	}
	peer := slog.Attr{} // an empty attribute is omitted
	if r.Caller.Peer != "" {
		peer = slog.String("peer", r.Caller.Peer)
	}
	s.log.LogAttrs(ctx, level, "command", slog.String("command", r.Command.Name), slog.String("user", r.Caller.User), peer,
		slog.String("status", string(r.Status)), slog.String("message", r.Message), slog.String("requestId", r.Caller.RequestID),
		slog.Duration("duration", r.Duration.Round(time.Microsecond)))
}
