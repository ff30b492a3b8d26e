//go:build unix

package receiver_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/receiver"
	"jetstream/internal/transfer/wire"
	"jetstream/triggers"
)

func TestMain(m *testing.M) {
	if os.Getenv(childState) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

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

// site is a receiving server.
type site struct {
	t              testing.TB
	state, sandbox string
	maxConnections int // of the next start; 0 is the default
	db             *store.DB
	accounts       *account.Service
	receiver       *receiver.Receiver
	address        string
	cancel         context.CancelFunc
	done           sync.WaitGroup
}

func newSite(t testing.TB, sandbox string) *site {
	t.Helper()
	s := &site{t: t, state: t.TempDir(), sandbox: sandbox}
	s.start(nil)
	t.Cleanup(s.stop)
	if _, err := s.accounts.Create(t.Context(), account.NewUser{Name: "bob", Password: "secret", Sandbox: sandbox}); err != nil {
		t.Fatal(err)
	}
	return s
}

// start serves; wrap, if given, stands between receiver and database.
func (s *site) start(wrap func(transfer.RecvStore) transfer.RecvStore) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	var err error
	if s.db, err = store.Open(ctx, s.state); err != nil {
		s.t.Fatal(err)
	}
	id, err := wire.LoadIdentity(s.state)
	if err != nil {
		s.t.Fatal(err)
	}
	s.accounts = account.New(s.db.Accounts(), account.Options{})
	var st transfer.RecvStore = s.db.Received()
	if wrap != nil {
		st = wrap(st)
	}
	s.receiver, err = receiver.New(receiver.Options{Store: st, Clients: s.db.Received(), Emitter: emitter{}, Accounts: s.accounts, Identity: id,
		MaxConnections: s.maxConnections})
	if err != nil {
		s.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = ln.Addr().String()
	s.done.Go(func() {
		if err := s.receiver.Serve(ctx, ln); err != nil {
			s.t.Errorf("Serve: %v", err)
		}
	})
}

func (s *site) stop() {
	if s.db == nil {
		return
	}
	s.cancel()
	s.done.Wait()
	if err := s.db.Close(); err != nil {
		s.t.Error(err)
	}
	s.db = nil
}

func (s *site) events() int {
	s.t.Helper()
	runs, _, err := s.db.Runs().Runs(s.t.Context(), triggers.Filter{Event: "recv.transferComplete", Limit: 100})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(runs)
}

// sender is a hand-written sending server, which may be as evil as it likes.
type sender struct {
	t      testing.TB
	site   *site
	id     *wire.Identity
	conn   *wire.Conn
	xfer   string
	ticket []byte
	open   wire.Open
}

func newSender(t testing.TB, s *site) *sender {
	t.Helper()
	id, err := wire.LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &sender{t: t, site: s, id: id, xfer: api.NewID()}
	p.open = wire.Open{TransferID: p.xfer, DestinationPath: "/", Conflict: "overwrite", OnError: "stop"}
	p.dial()
	p.login("bob", "secret")
	return p
}

func (p *sender) dial() {
	p.t.Helper()
	if p.conn != nil {
		p.conn.Abort()
	}
	nc, err := net.Dial("tcp", p.site.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.conn, err = wire.Client(p.t.Context(), nc, p.id, "", wire.Hello{MinVersion: 1, MaxVersion: 1, Software: "evil"})
	if err != nil {
		p.t.Fatal(err)
	}
	conn := p.conn
	p.t.Cleanup(conn.Abort)
}

// send writes a control message; the receiver may have hung up already.
func (p *sender) send(t wire.Type, message any) { _ = p.conn.Send(t, message) }

func (p *sender) login(user, password string) {
	p.t.Helper()
	p.send(wire.TypeLogin, wire.Login{TransferID: p.xfer, Username: user, Password: password})
	h, payload, err := p.conn.Read(nil)
	if err != nil || h.Type != wire.TypeTicket {
		p.t.Fatalf("login was answered by frame %d %s (%v)", h.Type, payload, err)
	}
	var ticket wire.Ticket
	if err := wire.Decode(payload, &ticket); err != nil {
		p.t.Fatal(err)
	}
	p.ticket = ticket.Ticket
}

// begin opens the transfer with the totals of the entries, which it announces.
func (p *sender) begin(entries ...wire.Entry) wire.Resume {
	p.t.Helper()
	for _, e := range entries {
		if !e.EmptyDir {
			p.open.TotalFiles++
		}
		p.open.TotalBytes += max(e.Size, 0)
	}
	r := p.reopen()
	p.announce(0, entries)
	return r
}

func (p *sender) reopen() wire.Resume {
	p.t.Helper()
	p.open.Ticket = p.ticket
	p.send(wire.TypeOpen, p.open)
	h, payload, err := p.conn.Read(nil)
	var r wire.Resume
	if err != nil || h.Type != wire.TypeResume || wire.Decode(payload, &r) != nil {
		p.t.Fatalf("open was answered by frame %d %s (%v)", h.Type, payload, err)
	}
	return r
}

func (p *sender) announce(from int64, entries []wire.Entry) {
	for len(entries) > 0 {
		n := min(len(entries), 300)
		p.send(wire.TypeEntries, wire.Entries{From: from, Entries: entries[:n]})
		from, entries = from+int64(n), entries[n:]
	}
}

func (p *sender) data(index, offset int64, payload []byte) {
	_ = p.conn.WriteFrames(wire.AppendFrame(nil, wire.Header{Type: wire.TypeData, Index: index, Offset: offset}, payload))
}

// answer reads to the Outcome or Failure; a connection without either is "".
func (p *sender) answer() (status, message string) {
	p.t.Helper()
	for {
		h, payload, err := p.conn.Read(nil)
		if err != nil {
			return "", err.Error()
		}
		switch h.Type {
		case wire.TypeOutcome:
			var o wire.Outcome
			if err := wire.Decode(payload, &o); err != nil {
				p.t.Fatal(err)
			}
			return o.Status, o.Message
		case wire.TypeFailure:
			var f wire.Failure
			if err := wire.Decode(payload, &f); err != nil {
				p.t.Fatal(err)
			}
			return string(f.Code), f.Message
		}
	}
}

func (p *sender) wantAnswer(status, message string) {
	p.t.Helper()
	if s, m := p.answer(); s != status || !strings.Contains(m, message) {
		p.t.Errorf("answered %q %q, want %q ...%s...", s, m, status, message)
	}
}

func (s *site) names() []string {
	s.t.Helper()
	var names []string
	err := filepath.WalkDir(s.sandbox, func(path string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(s.sandbox, path); rel != "." {
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
	return names
}

var errInjected = errors.New("injected failure")

func newUser(name, sandbox string) account.NewUser {
	return account.NewUser{Name: name, Password: "secret", Sandbox: sandbox}
}
