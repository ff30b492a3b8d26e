//go:build unix

package receiver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jetstream/internal/transfer/wire"
	"jetstream/internal/transfertest"
)

func TestEvilNamesAreRefused(t *testing.T) {
	s := newSite(t, filepath.Join(t.TempDir(), "box"))
	_ = os.Mkdir(s.Sandbox, 0o755)
	for _, name := range []string{
		"/../escaped", "/a/../../escaped", "/..", "/", "", "relative", "//double", "/a//b", "/./a", "/a/.",
		"/nul\x00byte", "/" + strings.Repeat("x", 256), strings.Repeat("/xxxxxxx", 600), "/slash/",
		"/.jetstream-0123456789abcdef0123456789abcdef-01234567/0.part", "/a/.JETSTREAM-0123456789abcdef0123456789abcdef-01234567",
	} {
		p := newSender(t, s)
		p.begin(wire.Entry{Name: wire.Name(name), Size: 1, Mode: 0o644})
		p.wantAnswer("error", "the name ")
	}
	if names := s.names(); len(names) != 0 {
		t.Errorf("evil names left %q", names)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(s.Sandbox), "escaped")); err == nil {
		t.Error("a file was written outside the sandbox")
	}
}

func TestEvilDestinationPathIsRefused(t *testing.T) {
	s := newSite(t, t.TempDir())
	for _, path := range []string{"/../x", "relative", "/a//b", "/nul\x00", "/x/.jetstream-0123456789abcdef0123456789abcdef-01234567"} {
		p := newSender(t, s)
		p.open.DestinationPath, p.open.Ticket = wire.Name(path), p.ticket
		p.send(wire.TypeOpen, p.open)
		p.wantAnswer("error", "destinationPath")
	}
	if names := s.names(); len(names) != 0 {
		t.Errorf("evil paths left %q", names)
	}
}

func TestBrokenRulesEndTheConnection(t *testing.T) {
	s := newSite(t, t.TempDir())
	one := wire.Entry{Name: "/f", Size: 10, Mode: 0o644}
	for name, act := range map[string]func(p *sender){
		"data of no entry": func(p *sender) {
			p.begin(one)
			p.send(wire.TypeEnd, struct{}{})
			p.data(1, 0, make([]byte, 10))
		},
		"data behind the end": func(p *sender) { p.begin(one); p.data(0, 6, make([]byte, 5)) },
		"data without a lane": func(p *sender) {
			p.begin(one)
			_ = p.conn.WriteFrames(wire.AppendFrame(nil, wire.Header{Type: wire.TypeData}, make([]byte, 10)), nil)
		},
		"a message on a lane": func(p *sender) {
			p.begin(one)
			_ = p.join().Send(wire.TypeEntries, wire.Entries{})
		},
		"more data than the size":  func(p *sender) { p.begin(one); p.data(0, 0, make([]byte, 11)) },
		"an empty chunk":           func(p *sender) { p.begin(one); p.data(0, 0, nil) },
		"a page out of order":      func(p *sender) { p.begin(one); p.announce(5, []wire.Entry{one}) },
		"more files than promised": func(p *sender) { p.begin(one); p.announce(1, []wire.Entry{{Name: "/g"}}) },
		"more bytes than promised": func(p *sender) {
			p.open.TotalFiles, p.open.TotalBytes = 1, 5
			p.reopen()
			p.announce(0, []wire.Entry{one})
		},
		"a negative size": func(p *sender) { p.begin(wire.Entry{Name: "/f", Size: -1}) },
		"an early end":    func(p *sender) { p.open.TotalFiles = 1; p.begin(one); p.send(wire.TypeEnd, struct{}{}) },
		"a hello again":   func(p *sender) { p.begin(one); p.send(wire.TypeHello, wire.Hello{}) },
		"a list far ahead of the data": func(p *sender) {
			p.open.TotalFiles, p.open.TotalBytes = 20_000, 200_000
			p.reopen()
			list := make([]wire.Entry, 9000)
			for i := range list {
				list[i] = one
			}
			p.announce(0, list)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newSender(t, s)
			act(p)
			if status, message := p.answer(); status != "invalid" {
				t.Errorf("answered %q %q, want invalid", status, message)
			}
		})
	}
	if s.completed() != 0 {
		t.Error("a broken transfer was completed")
	}
}

func TestCorruptChunkIsAskedForAgain(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/f", Size: 6, Mode: 0o600})
	p.data(0, 0, []byte("abc"))
	bad := wire.AppendFrame(nil, wire.Header{Type: wire.TypeData, Offset: 3}, []byte("def"))
	bad[len(bad)-1] ^= 1
	p.frame(bad)
	p.lane = nil // it was closed, and with it nothing else
	p.data(0, 3, []byte("def"))
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	if got, err := os.ReadFile(filepath.Join(s.Sandbox, "f")); string(got) != "abcdef" {
		t.Errorf("the file holds %q (%v)", got, err)
	}
	// A sender that has not got the answer asks again.
	p.dial()
	p.open.Ticket = p.ticket
	p.send(wire.TypeOpen, p.open)
	p.wantAnswer("complete", "")
	if n := s.completed(); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestTicketIsBoundToServerAndTransfer(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	stranger := newSender(t, s)
	stranger.xfer, stranger.open.TransferID, stranger.open.Ticket = p.xfer, p.xfer, p.ticket
	stranger.send(wire.TypeOpen, stranger.open)
	stranger.wantAnswer("unauthorized", "ticket")

	p.dial()
	p.reopen()
}

// A login that is handled after the one that the sender made anew, since it was
// delayed on its way, does not take away the ticket that the sender has.
func TestDelayedLoginLeavesTheTicketValid(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	first := p.ticket
	for i := range 8 {
		if i > 0 {
			p.ticket = first
			p.dial()
			p.reopen()
		}
		p.dial()
		p.login("bob", transfertest.BobsPassword)
	}
	p.dial()
	p.reopen()
	p.open.Ticket = first // they are not kept without end
	p.dial()
	p.send(wire.TypeOpen, p.open)
	p.wantAnswer("unauthorized", "ticket")
}

func TestTransferOfAnotherUserIsRefused(t *testing.T) {
	s := newSite(t, t.TempDir())
	if _, err := s.Accounts.Create(t.Context(), newUser("eve", t.TempDir())); err != nil {
		t.Fatal(err)
	}
	p := newSender(t, s)
	p.dial()
	p.send(wire.TypeLogin, wire.Login{TransferID: p.xfer, Username: "eve", Password: "secret"})
	p.wantAnswer("forbidden", "belongs to another user")
}

func TestNewerConnectionReplacesTheOlder(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	entry := wire.Entry{Name: "/f", Size: 6, Mode: 0o600}
	p.begin(entry)
	p.data(0, 0, []byte("abc"))
	half := p.conn // stays open, half dead
	if h, _, err := half.Read(); err != nil || h.Type != wire.TypeProgress {
		t.Fatalf("frame %d (%v), want progress", h.Type, err)
	}
	p.conn = nil
	p.dial()
	at := p.reopen()
	for {
		h, _, err := half.Read()
		if err != nil {
			break // it was hung up on
		}
		if h.Type != wire.TypeProgress && h.Type != wire.TypeFailure {
			t.Fatalf("the older connection got frame %d", h.Type)
		}
	}
	p.announce(0, []wire.Entry{entry})
	p.data(0, at.Offset, []byte("abcdef")[at.Offset:])
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	if got, _ := os.ReadFile(filepath.Join(s.Sandbox, "f")); string(got) != "abcdef" {
		t.Errorf("the file holds %q", got)
	}
}

func TestPlantedStagingIsNotFollowed(t *testing.T) {
	s := newSite(t, t.TempDir())
	outside := t.TempDir()
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/f", Size: 6, Mode: 0o600})
	p.data(0, 0, []byte("abc"))
	if h, _, err := p.conn.Read(); err != nil || h.Type != wire.TypeProgress {
		t.Fatalf("frame %d (%v), want progress", h.Type, err)
	}
	staging := s.names()[0]
	info, err := os.Lstat(filepath.Join(s.Sandbox, staging))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the staging directory has mode %v (%v), want 0700", info.Mode(), err)
	}
	s.Stop() // a restart: nothing is recorded, so it is made anew
	if err := os.RemoveAll(filepath.Join(s.Sandbox, staging)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(s.Sandbox, staging)); err != nil {
		t.Fatal(err)
	}
	s.Start()
	p.dial()
	if r := p.reopen(); r.Offset != 0 {
		t.Errorf("after a restart it goes on at offset %d", r.Offset)
	}
	p.announce(0, []wire.Entry{{Name: "/f", Size: 6, Mode: 0o600}})
	p.data(0, 0, []byte("abcdef"))
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Errorf("behind the planted link there is %v", left)
	}
}
