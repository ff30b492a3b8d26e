//go:build unix

package receiver_test

import (
	"os"
	"path/filepath"
	"testing"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
	"jetstream/internal/transfertest"
)

// A peer that begins with a dry run gets nothing else: no lane, no data, no transfer.
// Nothing is left of it.
func TestADryRunIsNoTransfer(t *testing.T) {
	s := newSite(t, t.TempDir())
	if err := os.WriteFile(filepath.Join(s.Sandbox, "f"), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	page := wire.Entries{Entries: []wire.Entry{{Name: "/g", Size: 3, Mode: 0o600}}}
	for name, c := range map[string]struct {
		does func(p *sender)
		code string
		want string
	}{
		"data": {func(p *sender) {
			p.send(wire.TypeEntries, page)
			_ = p.conn.WriteFrames(wire.AppendFrame(nil, wire.Header{Type: wire.TypeData}, []byte("abc")), nil)
		}, "invalid", "no lane"},
		"a file that is gone": {func(p *sender) {
			p.send(wire.TypeEntries, page)
			p.send(wire.TypeFileGone, wire.FileGone{})
		}, "invalid", "out of place in a dry run"},
		"digests": {func(p *sender) { p.send(wire.TypeDigests, wire.Digests{Digests: []string{""}}) }, "invalid", "was not asked for"},
		"an open": {func(p *sender) { p.send(wire.TypeOpen, p.open) }, "invalid", "out of place in a dry run"},
		"a login": {func(p *sender) { p.send(wire.TypeLogin, wire.Login{}) }, "invalid", "out of place in a dry run"},
		"a cancel": {func(p *sender) { p.send(wire.TypeCancel, wire.Cancel{TransferID: p.xfer}) },
			"invalid", "out of place in a dry run"},
		"an early end": {func(p *sender) { p.send(wire.TypeEnd, struct{}{}) }, "invalid", "ended after 0 files"},
		"a gap in the list": {func(p *sender) { p.send(wire.TypeEntries, wire.Entries{From: 1, Entries: page.Entries}) },
			"invalid", "begins at 1"},
		"more files": {func(p *sender) {
			p.send(wire.TypeEntries, wire.Entries{Entries: append(page.Entries, page.Entries...)})
		}, "invalid", "the sizes"},
	} {
		t.Run(name, func(t *testing.T) {
			p := stranger(t, s)
			p.dryRun(transfertest.BobsPassword)
			c.does(p)
			p.wantAnswer(c.code, c.want)
		})
	}
	t.Run("lanes", func(t *testing.T) {
		p := stranger(t, s)
		p.dryRun(transfertest.BobsPassword)
		refused(t, p.join(), "unauthorized")
		p.resume.Session = make([]byte, wire.SessionSize)
		refused(t, p.join(), "unauthorized")
	})
	t.Run("after a login", func(t *testing.T) {
		p := newSender(t, s)
		p.send(wire.TypeDryRun, wire.DryRun{Username: "bob", Password: transfertest.BobsPassword, Open: p.open})
		p.wantAnswer("invalid", "may log in once")
	})
	t.Run("with settings that are none", func(t *testing.T) {
		p := stranger(t, s)
		p.open.Conflict = "?"
		p.send(wire.TypeDryRun, wire.DryRun{Username: "bob", Password: transfertest.BobsPassword, Open: p.open})
		p.wantAnswer("invalid", "malformed")
	})
	rows, _, err := s.Receiver.Transfers(t.Context(), transfer.Page{Limit: 10})
	if err != nil || len(rows) != 1 { // that of newSender
		t.Errorf("there are %d transfers (%v), want 1", len(rows), err)
	}
	if names := s.names(); len(names) != 1 {
		t.Errorf("the sandbox has %q", names)
	}
}

// stranger is a sender that has not logged in.
func stranger(t *testing.T, s *site) *sender {
	t.Helper()
	id, err := wire.LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &sender{t: t, site: s, id: id, xfer: api.NewID()}
	p.open = wire.Open{TransferID: p.xfer, DestinationPath: "/", Conflict: "overwrite", OnError: "stop", TotalFiles: 1, TotalBytes: 3}
	p.dial()
	return p
}

// dryRun opens a dry run.
func (p *sender) dryRun(password string) {
	p.t.Helper()
	p.send(wire.TypeDryRun, wire.DryRun{Username: "bob", Password: password, Open: p.open})
	if h, payload := p.next(); h.Type != wire.TypeResume || wire.Decode(payload, &p.resume) != nil || !p.resume.AnswersSkip || len(p.resume.Session) != 0 {
		p.t.Fatalf("the dry run was answered by frame %d %s", h.Type, payload)
	}
}
