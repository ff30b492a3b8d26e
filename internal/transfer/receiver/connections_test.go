//go:build unix

package receiver_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer/wire"
	"jetstream/internal/transfertest"
)

// limitedSite is a site that serves that many connections at a time.
func limitedSite(t *testing.T, connections int, grace time.Duration) *site {
	t.Helper()
	s := newSite(t, t.TempDir())
	s.Stop()
	s.MaxConnections, s.Grace = connections, grace
	s.restart(nil)
	return s
}

func dialSilently(t *testing.T, s *site) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// A sender gets in although strangers hold every connection: those who say
// nothing, and those who have a key but neither login nor ticket.
func TestStrangersDoNotKeepSendersOut(t *testing.T) {
	const limit = 4
	for name, connect := range map[string]func(*testing.T, *site){
		"silent":       func(t *testing.T, s *site) { dialSilently(t, s) },
		"no handshake": func(t *testing.T, s *site) { _, _ = dialSilently(t, s).Write([]byte{22, 3, 1}) },
		"no login": func(t *testing.T, s *site) {
			id, err := wire.LoadIdentity(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			conn, err := wire.Client(t.Context(), dialSilently(t, s), id, "", wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.MaxVersion})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(conn.Abort)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := limitedSite(t, limit, time.Millisecond)
			for range 2 * limit {
				connect(t, s)
			}
			// By its login, and then by its ticket, it stays, however many come.
			p := newSender(t, s)
			for range 2 * limit {
				connect(t, s)
			}
			file := wire.Entry{Name: "/f", Size: 3, Mode: 0o600}
			p.begin(file)
			p.dial()
			p.reopen()
			for range 2 * limit {
				connect(t, s)
			}
			p.announce(0, []wire.Entry{file})
			p.data(0, 0, []byte("abc"))
			p.send(wire.TypeEnd, struct{}{})
			p.wantAnswer("complete", "")
			if got, err := os.ReadFile(filepath.Join(s.Sandbox, "f")); string(got) != "abc" {
				t.Errorf("the file holds %q (%v)", got, err)
			}
		})
	}
}

// No more connections than the limit are open; those of senders that have shown
// who they are stay, and the next is closed.
func TestAuthorizedSendersAreNotEvicted(t *testing.T) {
	const limit = 4
	s := limitedSite(t, limit, time.Millisecond)
	var senders []*sender
	for range limit / 2 { // each of which has a lane
		p := newSender(t, s)
		p.begin(wire.Entry{Name: wire.Name("/" + p.xfer), Size: 3, Mode: 0o600})
		p.data(0, 0, []byte("a"))
		senders = append(senders, p)
	}
	for range 2 * limit {
		late := dialSilently(t, s)
		_ = late.SetReadDeadline(time.Now().Add(time.Minute))
		if n, err := late.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			t.Fatalf("one beyond the limit read %d bytes (%v)", n, err)
		}
	}
	for _, p := range senders {
		p.data(0, 1, []byte("bc"))
		p.send(wire.TypeEnd, struct{}{})
		p.wantAnswer("complete", "")
		p.conn.Abort()
	}
	// A place is free once the receiver has seen that they are gone.
	for end := time.Now().Add(time.Minute); ; {
		nc := dialSilently(t, s)
		id, err := wire.LoadIdentity(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := wire.Client(t.Context(), nc, id, "", wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.MaxVersion})
		if err == nil {
			conn.Abort()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no place for another after the senders had gone: %v", err)
		}
	}
}

// A sender gets in although strangers take every place, and come again as soon
// as they are closed: it has the time to show who it is.
func TestStrangersWhoComeAgainDoNotKeepSendersOut(t *testing.T) {
	const limit = 8
	s := limitedSite(t, limit, 0)
	ctx, cancel := context.WithCancel(t.Context())
	var strangers sync.WaitGroup
	defer strangers.Wait()
	defer cancel()
	for range 2 * limit {
		strangers.Go(func() {
			for ctx.Err() == nil {
				nc, err := net.Dial("tcp", s.Address)
				if err != nil {
					continue
				}
				stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
				_, _ = nc.Write([]byte{22, 3, 1})
				_, _ = nc.Read(make([]byte, 1)) // until it is closed
				stop()
				_ = nc.Close()
			}
		})
	}
	for s.crowding() == 0 { // until they fill the port
		runtime.Gosched()
	}
	p := &sender{t: t, site: s, xfer: api.NewID()}
	id, err := wire.LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p.id, p.open = id, wire.Open{TransferID: p.xfer, DestinationPath: "/", Conflict: "overwrite", OnError: "stop"}
	for end := time.Now().Add(2 * time.Minute); ; { // as a sender that tries again
		if err = p.tryLogin(); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the sender did not get in: %v", err)
		}
	}
	p.begin(wire.Entry{Name: "/f", Size: 3, Mode: 0o600})
	p.data(0, 0, []byte("abc"))
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
}

func (s *site) crowding() int64 {
	n, _ := s.Receiver.Crowding()
	return n
}

// tryLogin connects and logs in as bob.
func (p *sender) tryLogin() error {
	nc, err := net.Dial("tcp", p.site.Address)
	if err != nil {
		return err
	}
	if p.conn, err = wire.Client(p.t.Context(), nc, p.id, "", wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.MaxVersion}); err != nil {
		return err
	}
	conn := p.conn
	p.t.Cleanup(conn.Abort)
	p.send(wire.TypeLogin, wire.Login{TransferID: p.xfer, Username: "bob", Password: transfertest.BobsPassword})
	_, payload, err := conn.Read()
	if err != nil {
		return err
	}
	var ticket wire.Ticket
	err = wire.Decode(payload, &ticket)
	p.ticket = ticket.Ticket
	return err
}
