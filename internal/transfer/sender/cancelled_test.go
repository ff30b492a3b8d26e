package sender_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// failures lists the parameters of the runs of a failure event for the
// transfer.
func (s *site) failures(event string, tr transfer.Transfer) (messages []string) {
	s.T.Helper()
	for _, r := range s.runs(event, tr) {
		messages = append(messages, string(r.Parameters))
	}
	return messages
}

// halfway begins a transfer whose first connection stalls in the middle.
func halfway(t *testing.T, a, b *site) transfer.Transfer {
	t.Helper()
	for _, name := range []string{"1", "2", "3"} {
		a.write("src/"+name, 2<<20)
	}
	address, reached := stalled(t, b.Address, 3<<20)
	tr := a.send(b, job{to: address})
	<-reached
	return tr
}

// cancelledAt checks both ends of a transfer that the receiver has cancelled.
func cancelledAt(t *testing.T, a, b *site, tr transfer.Transfer, by string) {
	t.Helper()
	got := a.wait(tr)
	if got.Status != transfer.StatusCancelled || !strings.HasSuffix(got.ErrorMessage, ": cancelled at the receiver by "+by) {
		t.Errorf("the sender has it as %s: %q", got.Status, got.ErrorMessage)
	}
	if list, err := a.engine.Runnable(t.Context(), nil, 10); err != nil || len(list) != 0 {
		t.Errorf("the sender would try again: %v (%v)", list, err)
	}
	r := b.received(tr)
	if r.Status != transfer.StatusCancelled || r.Processing || r.EndTime == 0 {
		t.Errorf("the receiver has it as %s", r.Status)
	}
	b.noLeftovers()
	if _, err := os.Stat(filepath.Join(b.Sandbox, "src")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was placed (%v)", err)
	}
	if n := len(b.events(tr)); n != 0 {
		t.Errorf("%d recv.transferComplete events", n)
	}
	for s, event := range map[*site]string{a: "send.transferFailed", b: "recv.transferFailed"} {
		if m := s.failures(event, tr); len(m) != 1 || !strings.Contains(m[0], "cancelled at the receiver by") {
			t.Errorf("%s got %q, want one message", event, m)
		}
	}
}

func TestReceiverCanCancelARunningTransfer(t *testing.T) {
	a, b := newSite(t), newSite(t)
	tr := halfway(t, a, b)
	r, err := b.Receiver.Cancel(t.Context(), by("bob"), tr.TransferID)
	if err != nil || r.Status != transfer.StatusCancelled || r.ErrorMessage != "cancelled at the receiver by user bob" {
		t.Fatalf("Cancel: %s %q (%v)", r.Status, r.ErrorMessage, err)
	}
	b.noLeftovers() // when it answers, not later
	cancelledAt(t, a, b, tr, "user bob")
	if strings.Contains(a.log.String(), "a transfer waits") {
		t.Errorf("the sender tried again:\n%s", a.log)
	}
	_, err = b.Receiver.Cancel(t.Context(), by("bob"), tr.TransferID)
	if e := api.ErrorOf(err); e == nil || e.Code != api.CodeConflict || !strings.Contains(e.Message, "already ended: it is cancelled") {
		t.Errorf("a second Cancel: %v", err)
	}
	a.Stop()
	b.Stop()
	b.start()
	a.start()
	cancelledAt(t, a, b, tr, "user bob")
}

// A sender that connects again learns of the cancellation, whichever end was
// restarted meanwhile, but not the name of the superuser.
func TestSenderLearnsOfACancellationWhenItReturns(t *testing.T) {
	a, b := newSite(t), newSite(t)
	tr := halfway(t, a, b)
	a.Stop()
	r, err := b.Receiver.Cancel(t.Context(), api.Caller{User: "root", Superuser: true}, tr.TransferID)
	if err != nil || r.ErrorMessage != "cancelled at the receiver by superuser root" {
		t.Fatalf("Cancel: %q (%v)", r.ErrorMessage, err)
	}
	b.noLeftovers()
	b.Stop()
	b.start()
	a.start()
	cancelledAt(t, a, b, tr, "a superuser")
	if r := b.received(tr); r.ErrorMessage != "cancelled at the receiver by superuser root" {
		t.Errorf("the receiver says %q", r.ErrorMessage)
	}
}

// The receiver of a deleted transfer is notified, also if it was down and the
// sender was restarted meanwhile. Then the record is removed.
func TestReceiverIsNotifiedOfADeletedTransfer(t *testing.T) {
	for _, away := range []bool{false, true} {
		a, b := newSite(t), newSite(t)
		tr := halfway(t, a, b)
		if away {
			b.Stop()
		}
		if err := a.engine.DeleteTransfer(t.Context(), by("bob"), tr.TransferID, true); err != nil {
			t.Fatal(err)
		}
		if away {
			a.Stop()
			a.start()
		}
		if _, err := a.engine.LoadTransfer(t.Context(), tr.TransferID); !errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
			t.Errorf("away %v: the transfer is still there (%v)", away, err)
		}
		changes, stop := a.engine.Watch(tr.TransferID)
		defer stop()
		if away {
			b.start()
		}
		deadline := time.After(patience)
		for {
			list, err := a.engine.Runnable(t.Context(), nil, 10)
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 {
				break
			}
			select {
			case <-changes:
			case <-deadline:
				t.Fatalf("away %v: the receiver was not told\n%s", away, a.log)
			}
		}
		if r := b.received(tr); r.Status != transfer.StatusCancelled {
			t.Errorf("away %v: at the receiver it is %s (%s)", away, r.Status, r.ErrorMessage)
		}
		b.noLeftovers()
		err := a.DB.Transfers().Update(t.Context(), func(tx transfer.Tx) error { _, err := tx.Transfer(tr.TransferID); return err })
		if !errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
			t.Errorf("away %v: the record is still in the database (%v)", away, err)
		}
	}
}
