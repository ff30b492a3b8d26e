//go:build unix

package receiver_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
	"jetstream/internal/transfertest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childState) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

// site is a receiving server.
type site struct{ *transfertest.Site }

func newSite(t testing.TB, sandbox string) *site {
	t.Helper()
	s := &site{&transfertest.Site{T: t, State: t.TempDir(), Sandbox: sandbox}}
	s.Start()
	t.Cleanup(s.Stop)
	s.AddBob()
	return s
}

// restart starts a site that was stopped, with wrap between receiver and
// database.
func (s *site) restart(wrap func(transfer.RecvStore) transfer.RecvStore) {
	s.T.Helper()
	s.WrapStore = wrap
	s.Start()
	s.WrapStore = nil
}

// completed counts the events of transfers that are complete.
func (s *site) completed() int { return len(s.Runs("recv.transferComplete")) }

// sender is a sending server that can violate the protocol.
type sender struct {
	t      testing.TB
	site   *site
	id     *wire.Identity
	conn   *wire.Conn
	lane   *wire.Conn // nil: none yet
	chunks int64      // sent on lane
	resume wire.Resume
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
	p.login("bob", transfertest.BobsPassword)
	return p
}

func (p *sender) dial() {
	p.t.Helper()
	for _, conn := range []*wire.Conn{p.conn, p.lane} {
		if conn != nil {
			conn.Abort()
		}
	}
	p.conn, p.lane = p.connect(), nil
}

func (p *sender) connect() *wire.Conn {
	p.t.Helper()
	nc, err := net.Dial("tcp", p.site.Address)
	if err != nil {
		p.t.Fatal(err)
	}
	conn, err := wire.Client(p.t.Context(), nc, p.id, "", wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.MaxVersion, Software: "evil"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(conn.Abort)
	return conn
}

// join makes a lane of the transfer.
func (p *sender) join() *wire.Conn {
	p.t.Helper()
	conn := p.connect()
	_ = conn.Send(wire.TypeJoin, wire.Join{TransferID: p.xfer, Session: p.resume.Session})
	return conn
}

// send writes a control message. The receiver may have closed the connection.
func (p *sender) send(t wire.Type, message any) { _ = p.conn.Send(t, message) }

func (p *sender) login(user, password string) {
	p.t.Helper()
	p.send(wire.TypeLogin, wire.Login{TransferID: p.xfer, Username: user, Password: password})
	h, payload, err := p.conn.Read()
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
		if !e.Dir {
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
	h, payload, err := p.conn.Read()
	var r wire.Resume
	if err != nil || h.Type != wire.TypeResume || wire.Decode(payload, &r) != nil {
		p.t.Fatalf("open was answered by frame %d %s (%v)", h.Type, payload, err)
	}
	p.resume = r
	return r
}

func (p *sender) announce(from int64, entries []wire.Entry) {
	for len(entries) > 0 {
		n := min(len(entries), 300)
		p.send(wire.TypeEntries, wire.Entries{From: from, Entries: entries[:n]})
		from, entries = from+int64(n), entries[n:]
	}
}

// data sends a chunk on the lane, and returns when it is acknowledged or the lane
// is closed.
func (p *sender) data(index, offset int64, payload []byte) {
	p.t.Helper()
	p.frame(wire.AppendFrame(nil, wire.Header{Type: wire.TypeData, Index: index, Offset: offset}, payload))
}

func (p *sender) frame(frame []byte) {
	p.t.Helper()
	if p.lane == nil {
		p.lane, p.chunks = p.join(), 0
	}
	p.chunks++
	p.lane.Limit(time.Now().Add(time.Minute))
	if err := p.lane.WriteFrames(frame, nil); err != nil {
		return
	}
	for {
		h, _, err := p.lane.Read()
		if err != nil || h.Type == wire.TypeAck && h.Index == p.chunks || h.Type == wire.TypeFailure {
			return
		}
	}
}

// answer reads frames up to Outcome or Failure; status is "" if there is
// neither.
func (p *sender) answer() (status, message string) {
	p.t.Helper()
	for {
		h, payload, err := p.conn.Read()
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
	s.T.Helper()
	var names []string
	err := filepath.WalkDir(s.Sandbox, func(path string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(s.Sandbox, path); rel != "." {
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		s.T.Error(err)
	}
	return names
}

var errInjected = errors.New("injected failure")

func newUser(name, sandbox string) account.NewUser {
	return account.NewUser{Name: name, Password: "secret", Sandbox: sandbox}
}
