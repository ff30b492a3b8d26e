package sender_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/receiver"
	"jetstream/internal/transfer/sender"
	"jetstream/internal/transfer/wire"
	"jetstream/triggers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 3 * time.Minute

// The passwords of these tests: nothing but a leak writes them anywhere.
const (
	bobsPassword  = "secret-of-bob"
	wrongPassword = "a-wrong-secret"
)

// emitter queues every event as a run, as the trigger engine does where a
// script exists.
type emitter struct{}

func (emitter) Queue(tx triggers.Tx, e triggers.Event) error {
	return tx.InsertRun(&triggers.Run{
		RunID: api.NewID(), Event: e.Name, EventID: api.NewID(), Attempt: 1, Status: triggers.StatusQueued,
		Parameters: e.Parameters, User: e.Cause.User, TransferID: e.Cause.TransferID,
		Subject: e.Cause.Subject, Key: e.Cause.Key,
	})
}

// site is one server, as far as transfers go: its state outlives stop.
type site struct {
	t       testing.TB
	state   string
	sandbox string
	address string // of the receiver, kept over restarts

	db       *store.DB
	accounts *account.Service
	engine   *transfer.Engine
	receiver *receiver.Receiver
	identity *wire.Identity
	log      *syncBuffer
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// newSite makes a server with the user bob and starts it.
func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, state: t.TempDir(), sandbox: t.TempDir(), address: "127.0.0.1:0", log: &syncBuffer{}}
	if err := os.Chmod(s.state, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.noPasswords) // once it has stopped
	s.start()
	t.Cleanup(s.stop)
	if _, err := s.accounts.Create(t.Context(), account.NewUser{Name: "bob", Password: bobsPassword, Sandbox: s.sandbox}); err != nil {
		t.Fatal(err)
	}
	return s
}

// noPasswords searches what the server wrote for the passwords of these tests.
func (s *site) noPasswords() {
	text := []byte(s.log.String())
	entries, err := os.ReadDir(s.state)
	for _, e := range entries {
		b, readErr := os.ReadFile(filepath.Join(s.state, e.Name()))
		text, err = append(text, b...), errors.Join(err, readErr)
	}
	if err != nil {
		s.t.Error(err)
	}
	for _, password := range []string{bobsPassword, wrongPassword} {
		if at := bytes.Index(text, []byte(password)); at >= 0 {
			s.t.Errorf("LEAK: the log or the state holds a password, after %q", text[max(0, at-80):at])
		}
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (s *site) start() {
	s.t.Helper()
	t := s.t
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.db = must[*store.DB](t)(store.Open(ctx, s.state))
	s.identity = must[*wire.Identity](t)(wire.LoadIdentity(s.state))
	s.accounts = account.New(s.db.Accounts(), account.Options{Protected: []account.Protected{{What: "state directory", Path: s.state, Secret: true}}})
	ln := must[net.Listener](t)(s.listen())
	s.address = ln.Addr().String()
	_, port, _ := net.SplitHostPort(s.address)
	recvPort, _ := strconv.Atoi(port)
	s.engine = must[*transfer.Engine](t)(transfer.New(transfer.Options{
		Store: s.db.Transfers(), Emitter: emitter{}, Accounts: s.accounts, SealKey: s.identity.SealKey(),
		RecvHost: "127.0.0.1", RecvPort: recvPort, Log: log,
	}))
	s.receiver = must[*receiver.Receiver](t)(receiver.New(receiver.Options{
		Store: s.db.Received(), Clients: s.db.Received(), Emitter: emitter{}, Accounts: s.accounts, Identity: s.identity, Software: "test", Log: log,
	}))
	send := must[*sender.Sender](t)(sender.New(sender.Options{Engine: s.engine, Identity: s.identity, Software: "test", Log: log}))
	s.done.Go(func() { s.check(s.engine.Serve(ctx)) })
	s.done.Go(func() { s.check(s.receiver.Serve(ctx, ln)) })
	s.done.Go(func() { s.check(send.Serve(ctx)) })
}

// listen takes the site's address. While the site was away another test's
// process may have got its port for a while.
func (s *site) listen() (net.Listener, error) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(patience); ; <-again.C {
		ln, err := net.Listen("tcp", s.address)
		if err == nil || time.Now().After(end) {
			return ln, err
		}
	}
}

func (s *site) check(err error) {
	if err != nil {
		s.t.Errorf("Serve: %v", err)
	}
}

func (s *site) stop() {
	if s.db == nil {
		return
	}
	s.cancel()
	s.done.Wait()
	if err := s.db.Close(); err != nil {
		s.t.Errorf("close database: %v", err)
	}
	s.db = nil
}

// write makes a file in the sandbox with random content.
func (s *site) write(name string, size int) {
	s.t.Helper()
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(len(name))}).Read(b)
	s.put(name, b)
}

func (s *site) put(name string, b []byte) {
	s.t.Helper()
	path := filepath.Join(s.sandbox, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// job is what a test sends.
type job struct {
	mappings          map[string]string // nil: {"/src": "/src"}
	to                string            // host:port; empty: the other site
	path              string
	password          string
	conflict, onError string
	user              string
}

// send makes destination, manifest and transfer.
func (s *site) send(to *site, j job) transfer.Transfer {
	s.t.Helper()
	ctx := s.t.Context()
	if j.to == "" {
		j.to = to.address
	}
	if j.mappings == nil {
		j.mappings = map[string]string{"/src": "/src"}
	}
	if j.password == "" {
		j.password = bobsPassword
	}
	if j.user == "" {
		j.user = "bob"
	}
	d, _, err := s.engine.CreateDestination(ctx, transfer.NewDestination{Owner: "bob", Address: j.to})
	if err != nil {
		s.t.Fatal(err)
	}
	m := must[transfer.Manifest](s.t)(s.engine.CreateManifest(ctx, transfer.NewManifest{Owner: "bob", FileMappings: j.mappings}))
	m = must[transfer.Manifest](s.t)(s.engine.WaitForManifest(ctx, m.ManifestID, patience))
	if m.Status != transfer.StatusComplete {
		s.t.Fatalf("manifest is %s: %v", m.Status, *m.ErrorMessage)
	}
	return must[transfer.Transfer](s.t)(s.engine.CreateTransfer(ctx, transfer.NewTransfer{
		ManifestID: m.ManifestID, DestinationID: d.DestinationID, Username: j.user, Password: j.password,
		DestinationPath: j.path, Conflict: j.conflict, OnError: j.onError, Priority: 100,
	}))
}

// wait returns the transfer once it has ended.
func (s *site) wait(t transfer.Transfer) transfer.Transfer {
	s.t.Helper()
	got := must[transfer.Transfer](s.t)(s.engine.WaitForTransfer(s.t.Context(), t.TransferID, patience))
	if got.Processing {
		s.t.Fatalf("transfer is still %s after %v: %s\n%s", got.Status, patience, got.ErrorMessage, s.log)
	}
	return got
}

// until waits for a state that the engine tells of.
func (s *site) until(t transfer.Transfer, what string, ok func(transfer.Transfer) bool) transfer.Transfer {
	s.t.Helper()
	changes, stop := s.engine.Watch(t.TransferID)
	defer stop()
	deadline := time.After(patience)
	for {
		got := must[transfer.Transfer](s.t)(s.engine.Transfer(s.t.Context(), t.TransferID))
		if ok(got) {
			return got
		}
		select {
		case <-changes:
		case <-deadline:
			s.t.Fatalf("the transfer did not become %s: it is %s (%s)\n%s", what, got.Status, got.ErrorMessage, s.log)
		}
	}
}

func (s *site) received(t transfer.Transfer) transfer.RecvTransfer {
	s.t.Helper()
	return must[transfer.RecvTransfer](s.t)(s.receiver.Transfer(s.t.Context(), t.TransferID, ""))
}

// complete waits for success and compares both ends.
func complete(t testing.TB, from, to *site, tr transfer.Transfer) {
	t.Helper()
	got := from.wait(tr)
	if got.Status != transfer.StatusComplete {
		t.Fatalf("transfer ended as %s: %s\nsender: %s\nreceiver: %s", got.Status, got.ErrorMessage, from.log, to.log)
	}
	r := to.received(tr)
	if r.Status != transfer.StatusComplete || r.FilesReceived != got.TotalFiles || r.BytesReceived != got.TotalBytes {
		t.Errorf("received transfer is %+v, sent one %+v", r, got)
	}
	if n := len(to.events(tr)); n != 1 {
		t.Errorf("%d recv.transferComplete events, want 1", n)
	}
	to.noLeftovers()
}

func (s *site) events(tr transfer.Transfer) []triggers.Run {
	s.t.Helper()
	runs, _, err := s.db.Runs().Runs(s.t.Context(), triggers.Filter{Event: "recv.transferComplete", Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	var mine []triggers.Run
	for _, r := range runs {
		if r.TransferID == tr.TransferID {
			mine = append(mine, r)
		}
	}
	return mine
}

// noLeftovers checks that no staging directory is left.
func (s *site) noLeftovers() {
	s.t.Helper()
	err := filepath.WalkDir(s.sandbox, func(path string, d fs.DirEntry, err error) error {
		if ok, _ := filepath.Match(".jetstream-*", d.Name()); ok {
			s.t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
}

// same compares two trees: names, bytes, modes, times of files, links.
func same(t testing.TB, want, got string) {
	t.Helper()
	a, b := tree(t, want), tree(t, got)
	for name, w := range a {
		if g, there := b[name]; !there {
			t.Errorf("%q is missing", name)
		} else if g != w {
			t.Errorf("%q is %s, want %s", name, g, w)
		}
	}
	for name := range b {
		if _, wanted := a[name]; !wanted {
			t.Errorf("%q is there and should not", name)
		}
	}
}

func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			out[rel] = info.Mode().Type().String()
			return nil
		}
		b, err := os.ReadFile(path)
		out[rel] = fmt.Sprintf("%v %v %d bytes %x", info.Mode(), info.ModTime().UnixNano(), len(b), wire.Sum(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
