package sender_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/pace"
	"jetstream/internal/transfertest"
)

// limit makes the destination of to with a rate in kbit/s, or changes it.
func (s *site) limit(to *site, kbit int64) { s.limitAt(to.Address, kbit) }

func (s *site) limitAt(address string, kbit int64) {
	s.T.Helper()
	if _, _, err := s.engine.CreateDestination(s.T.Context(), by("bob"), transfer.DestinationParams{Address: address, SendRateMax: &kbit}); err != nil {
		s.T.Fatal(err)
	}
}

func (s *site) underWay(tr transfer.Transfer) transfer.Transfer { return s.sends(tr, 1) }

// sends returns the transfer once so many bytes of it are confirmed.
func (s *site) sends(tr transfer.Transfer, bytes int64) transfer.Transfer {
	s.T.Helper()
	again := time.NewTicker(10 * time.Millisecond) // progress wakes nobody
	defer again.Stop()
	for end := time.Now().Add(patience); ; <-again.C {
		t := transfertest.Must[transfer.Transfer](s.T)(s.engine.LoadTransfer(s.T.Context(), tr.TransferID))
		if t.Status == transfer.StatusActive && t.BytesSent >= bytes {
			return t
		}
		if !t.Processing || time.Now().After(end) {
			s.T.Fatalf("the transfer is %s with %d bytes: %s\n%s", t.Status, t.BytesSent, t.ErrorMessage, s.log)
		}
	}
}

func (s *site) steer(act func() (transfer.Transfer, error)) transfer.Transfer {
	s.T.Helper()
	return transfertest.Must[transfer.Transfer](s.T)(act())
}

// TestSendRateMaxIsKept: no faster, that is; that it is no slower is measured.
func TestSendRateMaxIsKept(t *testing.T) {
	t.Parallel()
	a, b := newSite(t), newSite(t)
	a.write("src/big.bin", 1_500_000)
	a.limit(b, 8_000)
	begin := time.Now()
	complete(t, a, b, a.send(b, job{}))
	if d := time.Since(begin); d < 1400*time.Millisecond {
		t.Errorf("1.5 MB at 1 MB/s took only %v", d)
	}
}

// TestTransfersShareTheRateOfTheirDestination: both together are no faster.
func TestTransfersShareTheRateOfTheirDestination(t *testing.T) {
	t.Parallel()
	a, b := newSite(t), newSite(t)
	a.write("src/big.bin", 750_000)
	a.limit(b, 8_000)
	begin := time.Now()
	one, two := a.send(b, job{path: "/1"}), a.send(b, job{path: "/2"})
	a.wait(one)
	a.wait(two)
	complete(t, a, b, one)
	complete(t, a, b, two)
	if d := time.Since(begin); d < 1400*time.Millisecond {
		t.Errorf("2 x 750 KB at 1 MB/s took only %v", d)
	}
}

// TestLimitsOfTheServersAreKept: that of the sender and that of the receiver, each
// by two transfers together.
func TestLimitsOfTheServersAreKept(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"outgoing", "incoming"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			a, b := newSite(t), newSite(t)
			limiter := &pace.Limiter{}
			limiter.SetRate(8_000)
			if a.Stop(); end == "outgoing" {
				a.outgoing = limiter
			} else {
				b.Stop()
				b.Incoming = limiter
				b.start()
			}
			a.start()
			a.write("src/big.bin", 750_000)
			begin := time.Now()
			one, two := a.send(b, job{path: "/1"}), a.send(b, job{path: "/2"})
			a.wait(one)
			a.wait(two)
			if d := time.Since(begin); d < 1400*time.Millisecond {
				t.Errorf("2 x 750 KB at 1 MB/s took only %v", d)
			}
			complete(t, a, b, one)
			complete(t, a, b, two)
		})
	}
}

// TestSendRateMaxChangesWhileSending: at the first rate it would take ten minutes.
func TestSendRateMaxChangesWhileSending(t *testing.T) {
	t.Parallel()
	a, b := newSite(t), newSite(t)
	a.write("src/big.bin", 12<<20)
	a.limit(b, 160)
	tr := a.send(b, job{})
	a.underWay(tr)
	a.limit(b, 0)
	complete(t, a, b, tr)
}

func TestSuspendedTransferGoesOnWhenResumed(t *testing.T) {
	t.Parallel()
	a, b := newSite(t), newSite(t)
	a.write("src/big.bin", 12<<20)
	a.limit(b, 800)
	tr := a.send(b, job{})
	a.underWay(tr)
	caller, ctx := by("bob"), t.Context()
	suspend := func() (transfer.Transfer, error) { return a.engine.SuspendTransfer(ctx, caller, tr.TransferID) }
	resume := func() (transfer.Transfer, error) { return a.engine.ResumeTransfer(ctx, caller, tr.TransferID) }
	for range 2 { // the second time nothing happens
		if got := a.steer(suspend); got.Status != transfer.StatusSuspended || !got.Processing {
			t.Fatalf("suspended it is %s", got.Status)
		}
	}
	a.Stop()
	a.start()
	if got := transfertest.Must[transfer.Transfer](t)(a.engine.LoadTransfer(ctx, tr.TransferID)); got.Status != transfer.StatusSuspended {
		t.Errorf("after a restart it is %s", got.Status)
	}
	a.limit(b, 0)
	if got := a.steer(resume); got.Status == transfer.StatusSuspended {
		t.Errorf("resumed it is %s", got.Status)
	}
	complete(t, a, b, tr)
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))
	for name, act := range map[string]func() (transfer.Transfer, error){"suspend": suspend, "resume": resume} {
		if _, err := act(); !errors.Is(err, &api.Error{Code: api.CodeConflict}) {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
}

func TestFailedTransferSaysWhyAtBothEnds(t *testing.T) {
	t.Parallel()
	a, b := newSite(t), newSite(t)
	a.write("src/big.bin", 12<<20)
	a.limit(b, 160)
	tr := a.send(b, job{})
	a.underWay(tr)
	got := a.steer(func() (transfer.Transfer, error) {
		return a.engine.FailTransfer(t.Context(), by("bob"), tr.TransferID, "the reel was withdrawn")
	})
	if got.Status != transfer.StatusError || got.ErrorMessage != "the reel was withdrawn" {
		t.Errorf("the sender has it as %s: %s", got.Status, got.ErrorMessage)
	}
	a.until(tr, "known to the receiver", func(t transfer.Transfer) bool { return !t.TellPeer })
	if r := b.received(tr); r.Status != transfer.StatusError || !strings.Contains(r.ErrorMessage, "the reel was withdrawn") {
		t.Errorf("the receiver has it as %s: %s", r.Status, r.ErrorMessage)
	}
	b.noLeftovers()
}

func TestUpdatedTransferKeepsWhatWasNotGiven(t *testing.T) {
	t.Parallel()
	a, b := newSite(t), newSite(t)
	a.write("src/f", 1)
	b.Stop()
	tr := a.send(b, job{})
	priority := 7
	update := func(c transfer.TransferChange) (transfer.Transfer, error) {
		return a.engine.UpdateTransfer(t.Context(), by("bob"), tr.TransferID, c)
	}
	if got := transfertest.Must[transfer.Transfer](t)(update(transfer.TransferChange{Priority: &priority})); got.Priority != 7 {
		t.Errorf("it has priority %d", got.Priority)
	}
	got := transfertest.Must[transfer.Transfer](t)(update(transfer.TransferChange{UserData: map[string]string{"shift": "night"}}))
	if got.Priority != 7 || got.UserData["shift"] != "night" {
		t.Errorf("it has priority %d and %v", got.Priority, got.UserData)
	}
	b.start()
	a.wait(tr)
	if _, err := update(transfer.TransferChange{Priority: &priority}); err != nil {
		t.Errorf("the same priority after the end: %v", err)
	}
	priority = 8
	if _, err := update(transfer.TransferChange{Priority: &priority}); !errors.Is(err, &api.Error{Code: api.CodeConflict}) {
		t.Errorf("another priority after the end: %v", err)
	}
}

// Of the transfers to a destination those with the lowest number are sent, also
// when a lower one comes later, or the number changes.
func TestLowerPriorityNumberGoesFirst(t *testing.T) {
	t.Parallel()
	a, b := newSite(t), newSite(t)
	a.write("src/big.bin", 12<<20)
	a.limit(b, 800)
	late := a.send(b, job{path: "/late", priority: 200})
	a.underWay(late)
	first := a.send(b, job{path: "/first", priority: 50})
	a.underWay(first)
	before := a.underWay(late).BytesSent
	for a.underWay(first).BytesSent < 200<<10 {
	}
	// What was under way when the other came arrives still.
	if after := a.underWay(late).BytesSent; after > before+100<<10 {
		t.Errorf("%d bytes of the later one were sent while 200 KiB of the first were", after-before)
	}
	sooner := 10
	a.steer(func() (transfer.Transfer, error) {
		return a.engine.UpdateTransfer(t.Context(), by("bob"), late.TransferID, transfer.TransferChange{Priority: &sooner})
	})
	for before = a.underWay(late).BytesSent; a.underWay(late).BytesSent < before+100<<10; {
	}
	a.limit(b, 0)
	a.wait(first)
	complete(t, a, b, late)
	complete(t, a, b, first)
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "late/src"))
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "first/src"))
}
