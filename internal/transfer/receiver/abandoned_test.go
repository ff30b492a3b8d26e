//go:build unix

package receiver_test

import (
	"testing"
	"time"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// abandon calls Abandon until it ends a transfer.
func (s *site) abandon(after time.Duration) {
	s.T.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		n, err := s.Receiver.Abandon(s.T.Context(), after)
		switch {
		case err != nil:
			s.T.Fatal(err)
		case n > 0:
			return
		case time.Now().After(deadline):
			s.T.Fatal("the transfer was not ended")
		}
	}
}

// A transfer whose sender stays away is ended and its parts are removed; one
// that a connection works on, or whose sender came back, is not.
func TestAbandonedTransferIsEnded(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/f", Size: 6, Mode: 0o600})
	p.data(0, 0, []byte("abc"))
	if h, _, err := p.conn.Read(); err != nil || h.Type != wire.TypeProgress {
		t.Fatalf("frame %d (%v), want progress", h.Type, err)
	}
	if n, err := s.Receiver.Abandon(t.Context(), time.Nanosecond); n != 0 || err != nil {
		t.Errorf("%d transfers with a connection were ended (%v)", n, err)
	}
	p.conn.Abort()
	if n, err := s.Receiver.Abandon(t.Context(), time.Hour); n != 0 || err != nil {
		t.Errorf("%d transfers were ended at once (%v)", n, err)
	}
	if len(s.names()) == 0 {
		t.Error("the part files are gone")
	}
	s.abandon(time.Nanosecond)
	const told = "its sender did not come back for 1ns"
	row := s.Received(p.xfer)
	if row.Status != transfer.StatusError || row.Processing || len(s.names()) != 0 {
		t.Errorf("it is %s: %s; left are %q", row.Status, row.ErrorMessage, s.names())
	}
	if n := len(s.Runs("recv.transferFailed")); n != 1 {
		t.Errorf("%d events recv.transferFailed, want 1", n)
	}
	p.dial() // it comes back too late
	p.open.Ticket = p.ticket
	p.send(wire.TypeOpen, p.open)
	p.wantAnswer("error", told)

	// The time that the server was away does not count: the sender could not
	// come back.
	p = newSender(t, s)
	p.begin(wire.Entry{Name: "/f", Size: 6, Mode: 0o600})
	s.Stop()
	s.Start()
	if n, err := s.Receiver.Abandon(t.Context(), time.Hour); n != 0 || err != nil {
		t.Errorf("%d transfers were ended after a start (%v)", n, err)
	}
}

// The owner may remove part files that no unfinished transfer needs.
func TestOnlyUnfinishedTransfersKeepTheirParts(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/f", Size: 6, Mode: 0o600})
	p.data(0, 0, []byte("abc"))
	if h, _, err := p.conn.Read(); err != nil || h.Type != wire.TypeProgress {
		t.Fatalf("frame %d (%v), want progress", h.Type, err)
	}
	if dirs, err := s.Receiver.PartDirs(t.Context()); len(dirs) != 1 || err != nil {
		t.Errorf("kept are %q (%v)", dirs, err)
	}
	p.conn.Abort()
	err := s.DB.Received().Update(t.Context(), func(tx transfer.RecvTx) error {
		row, err := tx.RecvTransfer(p.id.PublicKey(), p.xfer)
		if err == nil {
			row.Status, row.Processing = transfer.StatusError, false // and its parts could not be removed
			err = tx.SaveRecvTransfer(row)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if dirs, err := s.Receiver.PartDirs(t.Context()); len(dirs) != 0 || err != nil {
		t.Errorf("kept are %q (%v)", dirs, err)
	}
}
