package sender_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/pace"
	"jetstream/internal/transfer/sender"
	"jetstream/internal/transfer/wire"
	"jetstream/internal/transfertest"
	"jetstream/triggers"
)

func TestMain(m *testing.M) {
	if os.Getenv(childState) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

const patience = 3 * time.Minute

// wrongPassword is a password that no user has.
const wrongPassword = "a-wrong-secret"

// site is a server that sends and receives. Its state outlives Stop.
type site struct {
	*transfertest.Site
	engine *transfer.Engine
	sender *sender.Sender
	log    *syncBuffer
	// outgoing limits what it sends; nil: nothing does.
	outgoing *pace.Limiter
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
	log := &syncBuffer{}
	s := &site{log: log, Site: &transfertest.Site{
		T: t, State: t.TempDir(), Sandbox: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}}
	t.Cleanup(s.noPasswords) // once it has stopped
	s.start()
	t.Cleanup(s.Stop)
	s.AddBob()
	return s
}

// noPasswords checks that log and state contain no password of these tests.
func (s *site) noPasswords() {
	text := []byte(s.log.String())
	entries, err := os.ReadDir(s.State)
	for _, e := range entries {
		b, readErr := os.ReadFile(filepath.Join(s.State, e.Name()))
		text, err = append(text, b...), errors.Join(err, readErr)
	}
	if err != nil {
		s.T.Error(err)
	}
	for _, password := range []string{transfertest.BobsPassword, wrongPassword} {
		if at := bytes.Index(text, []byte(password)); at >= 0 {
			s.T.Errorf("LEAK: the log or the state holds a password, after %q", text[max(0, at-80):at])
		}
	}
}

func (s *site) start() {
	s.T.Helper()
	s.Start()
	_, port, _ := net.SplitHostPort(s.Address)
	recvPort, _ := strconv.Atoi(port)
	s.engine = transfertest.Must[*transfer.Engine](s.T)(transfer.New(transfer.Options{
		Store: s.DB.Transfers(), Emitter: transfertest.Emitter{}, Accounts: s.Accounts, SealKey: s.Identity.SealKey(),
		RecvHost: "127.0.0.1", RecvPort: recvPort, Log: s.Log,
	}))
	send := transfertest.Must[*sender.Sender](s.T)(sender.New(sender.Options{Engine: s.engine, Identity: s.Identity, Software: "test", Log: s.Log, Outgoing: s.outgoing}))
	s.Serve(s.engine.Serve)
	s.sender = send
	s.Serve(send.Serve)
}

// write makes a file in the sandbox with random content.
func (s *site) write(name string, size int) {
	s.T.Helper()
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(len(name))}).Read(b)
	s.put(name, b)
}

func (s *site) put(name string, b []byte) {
	s.T.Helper()
	path := filepath.Join(s.Sandbox, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.T.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		s.T.Fatal(err)
	}
}

// job holds the parameters of send.
type job struct {
	mappings          map[string]string // nil: {"/src": "/src"}
	to                string            // host:port; empty: the other site
	path              string
	password          string
	conflict, onError string
	checksum          bool
	deleteSource      bool
	compression       string
	user              string
	priority          int // 0: 100
}

// send makes destination, manifest and transfer.
func (s *site) send(to *site, j job) transfer.Transfer {
	s.T.Helper()
	ctx := s.T.Context()
	if j.to == "" {
		j.to = to.Address
	}
	if j.mappings == nil {
		j.mappings = map[string]string{"/src": "/src"}
	}
	if j.password == "" {
		j.password = transfertest.BobsPassword
	}
	if j.user == "" {
		j.user = "bob"
	}
	d, _, err := s.engine.CreateDestination(ctx, by("bob"), transfer.DestinationParams{Address: j.to})
	if err != nil {
		s.T.Fatal(err)
	}
	return transfertest.Must[transfer.Transfer](s.T)(s.engine.CreateTransfer(ctx, by("bob"), transfer.Params{
		ManifestID: s.manifest(j.mappings), DestinationID: d.DestinationID, Username: j.user,
		DestinationPath: j.path, Conflict: j.conflict, Checksum: j.checksum, DeleteSource: j.deleteSource, OnError: j.onError, Compression: j.compression, Priority: cmp.Or(j.priority, 100),
	}, j.password))
}

// manifest makes a manifest, which it waits for, and returns its id.
func (s *site) manifest(mappings map[string]string) string {
	s.T.Helper()
	return s.manifestOf(transfer.ManifestParams{FileMappings: mappings})
}

// manifestOf is manifest with other parameters.
func (s *site) manifestOf(p transfer.ManifestParams) string {
	s.T.Helper()
	ctx := s.T.Context()
	m := transfertest.Must[transfer.Manifest](s.T)(s.engine.CreateManifest(ctx, by("bob"), p))
	m = transfertest.Must[transfer.Manifest](s.T)(s.engine.WaitForManifest(ctx, by("bob"), m.ManifestID, patience))
	if m.Status != transfer.StatusComplete {
		s.T.Fatalf("manifest is %s: %v", m.Status, *m.ErrorMessage)
	}
	return m.ManifestID
}

// wait returns the transfer once it has ended.
func (s *site) wait(t transfer.Transfer) transfer.Transfer {
	s.T.Helper()
	got := transfertest.Must[transfer.Transfer](s.T)(s.engine.WaitForTransfer(s.T.Context(), api.Caller{Superuser: true}, t.TransferID, patience))
	if got.Processing {
		s.T.Fatalf("transfer is still %s after %v: %s\n%s", got.Status, patience, got.ErrorMessage, s.log)
	}
	return got
}

// until waits until ok returns true for the transfer.
func (s *site) until(t transfer.Transfer, what string, ok func(transfer.Transfer) bool) transfer.Transfer {
	s.T.Helper()
	changes, stop := s.engine.Watch(t.TransferID)
	defer stop()
	deadline := time.After(patience)
	for {
		got := transfertest.Must[transfer.Transfer](s.T)(s.engine.LoadTransfer(s.T.Context(), t.TransferID))
		if ok(got) {
			return got
		}
		select {
		case <-changes:
		case <-deadline:
			s.T.Fatalf("the transfer did not become %s: it is %s (%s)\n%s", what, got.Status, got.ErrorMessage, s.log)
		}
	}
}

func (s *site) received(t transfer.Transfer) transfer.RecvTransfer {
	s.T.Helper()
	return s.Received(t.TransferID)
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

// events lists the runs of recv.transferComplete for a transfer.
func (s *site) events(tr transfer.Transfer) []triggers.Run {
	return s.runs("recv.transferComplete", tr)
}

// runs lists the runs of an event for a transfer.
func (s *site) runs(event string, tr transfer.Transfer) []triggers.Run {
	s.T.Helper()
	return slices.DeleteFunc(s.Runs(event), func(r triggers.Run) bool { return r.TransferID != tr.TransferID })
}

// by returns the caller of a user.
func by(user string) api.Caller { return api.Caller{User: user} }

// noLeftovers checks that no staging directory is left.
func (s *site) noLeftovers() {
	s.T.Helper()
	err := filepath.WalkDir(s.Sandbox, func(path string, d fs.DirEntry, err error) error {
		if ok, _ := filepath.Match(".jetstream-*", d.Name()); ok {
			s.T.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		s.T.Error(err)
	}
}

// same compares two trees: names, bytes, modes, times, links.
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
		if d.IsDir() && rel != "." {
			out[rel] = fmt.Sprintf("%v %v", info.Mode(), info.ModTime().UnixNano())
			return nil
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
