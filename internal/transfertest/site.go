// Package transfertest runs receiving servers for the tests of package sender
// and package receiver.
package transfertest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/diskspace"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/pace"
	"jetstream/internal/transfer/receiver"
	"jetstream/internal/transfer/wire"
	"jetstream/triggers"
)

// BobsPassword is the password of the user bob, whom every Site has.
const BobsPassword = "secret-of-bob"

// listenTimeout bounds how long Start waits for the site's port.
const listenTimeout = 3 * time.Minute

// Emitter queues every event as a run, as the trigger engine does where a
// script exists.
type Emitter struct{}

// Queue implements transfer.Emitter.
func (Emitter) Queue(tx triggers.Tx, e triggers.Event) error {
	return tx.InsertRun(&triggers.Run{
		RunID: api.NewID(), Event: e.Name, EventID: api.NewID(), Attempt: 1, Status: triggers.StatusQueued,
		Parameters: e.Parameters, User: e.Cause.User, TransferID: e.Cause.TransferID,
		Subject: e.Cause.Subject, Key: e.Cause.Key,
	})
}

// Site is a server that receives transfers for the user bob on loopback. Its
// state outlives Stop.
type Site struct {
	T testing.TB
	// State is the state directory, Sandbox the directory of bob's files.
	State, Sandbox string
	// Address is where the receiver listens. It stays the same after a restart.
	Address string
	// Log is the receiver's; nil is silent.
	Log *slog.Logger
	// WrapStore, if not nil, replaces the receiver's store at the next Start.
	WrapStore func(transfer.RecvStore) transfer.RecvStore
	// MaxConnections is the receiver's limit at the next Start; 0 is its default.
	MaxConnections int
	Grace          time.Duration
	// Digest is the algorithm of the receiver; empty is its default.
	Digest digest.Algorithm
	// MinFree is how much must be free; the zero value is nothing.
	MinFree diskspace.Floor
	// Modes are those of what it receives.
	Modes receiver.Modes
	// Incoming limits what it receives; nil: nothing does.
	Incoming *pace.Limiter

	// What a site that has been started consists of.
	DB       *store.DB
	Accounts *account.Service
	Identity *wire.Identity
	Receiver *receiver.Receiver

	stop    context.CancelFunc
	serving sync.WaitGroup
	ctx     context.Context
}

// Start opens the state and serves until Stop. A site that was never started
// has no user bob yet: see AddBob.
func (s *Site) Start() {
	s.T.Helper()
	s.fill()
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.DB = Must[*store.DB](s.T)(store.Open(s.ctx, s.State))
	s.Identity = Must[*wire.Identity](s.T)(wire.LoadIdentity(s.State))
	s.Accounts = account.New(s.DB.Accounts(), account.Options{
		Protected: []account.Protected{{What: "state directory", Path: s.State, Secret: true}},
	})
	var received transfer.RecvStore = s.DB.Received()
	if s.WrapStore != nil {
		received = s.WrapStore(received)
	}
	s.Receiver = Must[*receiver.Receiver](s.T)(receiver.New(receiver.Options{
		Store: received, Clients: s.DB.Received(), Emitter: Emitter{}, Accounts: s.Accounts, Identity: s.Identity,
		Software: "test", Log: s.Log, MaxConnections: s.MaxConnections, Grace: s.Grace, Incoming: s.Incoming, Digest: s.Digest, MinFree: s.MinFree, StateDir: s.State, Modes: s.Modes,
	}))
	ln := Must[net.Listener](s.T)(s.listen())
	s.Address = ln.Addr().String()
	s.Serve(func(ctx context.Context) error { return s.Receiver.Serve(ctx, ln) })
}

// Serve runs a further part of the server until Stop.
func (s *Site) Serve(serve func(context.Context) error) {
	ctx := s.ctx
	s.serving.Go(func() {
		if err := serve(ctx); err != nil {
			s.T.Errorf("Serve: %v", err)
		}
	})
}

// listen takes the site's address, for which another process may have to give
// it up first.
func (s *Site) listen() (net.Listener, error) {
	var lc net.ListenConfig
	if s.Address == "" {
		return lc.Listen(s.ctx, "tcp", "127.0.0.1:0")
	}
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for end := time.Now().Add(listenTimeout); ; <-retry.C {
		ln, err := lc.Listen(s.ctx, "tcp", s.Address)
		if err == nil || time.Now().After(end) {
			return ln, err
		}
	}
}

// Stop ends the site and closes its state. A second Stop does nothing.
func (s *Site) Stop() {
	if s.DB == nil {
		return
	}
	s.stop()
	s.serving.Wait()
	if err := s.DB.Close(); err != nil {
		s.T.Errorf("close database: %v", err)
	}
	s.DB = nil
}

// AddBob adds the user bob.
func (s *Site) AddBob() {
	s.T.Helper()
	bob := Must[model](s.T)(makeModel()).bob
	bob.Sandbox, bob.CreateTime = s.Sandbox, api.Now()
	if err := s.DB.Accounts().InsertUser(s.T.Context(), bob); err != nil {
		s.T.Fatal(err)
	}
}

// model is what every site begins with: the files of a state directory without users,
// and the user bob. Both are made once, since tests need hundreds.
type model struct {
	files map[string][]byte
	bob   account.User
}

var makeModel = sync.OnceValues(func() (m model, err error) { //nolint:gochecknoglobals // made once
	dir, err := os.MkdirTemp("", "jetstream-model-")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx := context.Background()
	db, err := store.Open(ctx, dir)
	if err != nil {
		return m, err
	}
	if err := db.Close(); err != nil {
		return m, err
	}
	m.files = map[string][]byte{}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		text, readErr := os.ReadFile(filepath.Join(dir, e.Name()))
		m.files[e.Name()], err = text, errors.Join(err, readErr)
	}
	if err != nil {
		return m, err
	}
	if db, err = store.Open(ctx, dir); err != nil {
		return m, err
	}
	m.bob, err = account.New(db.Accounts(), account.Options{}).Create(ctx, account.NewUser{Name: "bob", Password: BobsPassword})
	return m, errors.Join(err, db.Close())
})

// fill makes the files of a state directory that has none.
func (s *Site) fill() {
	s.T.Helper()
	if there := Must[[]os.DirEntry](s.T)(os.ReadDir(s.State)); len(there) > 0 {
		return
	}
	for name, text := range Must[model](s.T)(makeModel()).files {
		if err := os.WriteFile(filepath.Join(s.State, name), text, 0o600); err != nil {
			s.T.Fatal(err)
		}
	}
}

// Age returns when whatever is in the sandbox is older, by the clock of its file system,
// than what is begun then.
func (s *Site) Age() {
	s.T.Helper()
	probe := filepath.Join(s.T.TempDir(), "probe")
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for first := (time.Time{}); ; <-pause.C {
		if err := os.WriteFile(probe, nil, 0o600); err != nil {
			s.T.Fatal(err)
		}
		info := Must[os.FileInfo](s.T)(os.Stat(probe))
		if first.IsZero() {
			first = info.ModTime()
		}
		if info.ModTime().Sub(first) > 300*time.Millisecond {
			return
		}
	}
}

// Received returns a received transfer of any user.
func (s *Site) Received(transferID string) transfer.RecvTransfer {
	s.T.Helper()
	return Must[transfer.RecvTransfer](s.T)(s.Receiver.Transfer(s.T.Context(), api.Caller{Superuser: true}, transferID))
}

// Runs lists the queued runs of an event.
func (s *Site) Runs(event string) []triggers.Run {
	s.T.Helper()
	runs, _, err := s.DB.Runs().Runs(s.T.Context(), triggers.Filter{Event: event, Limit: 1000})
	if err != nil {
		s.T.Fatal(err)
	}
	return runs
}

// Must returns a function that passes on its first argument and ends the test
// if its second one is an error.
func Must[V any](t testing.TB) func(V, error) V {
	return func(v V, err error) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
