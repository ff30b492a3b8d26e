package sender_test

import (
	"strings"
	"testing"

	"jetstream/internal/diskspace"
	"jetstream/internal/transfer"
)

// TestSenderWaitsForSpaceAtTheReceiver: it says what the receiver says, and goes on by
// itself.
func TestSenderWaitsForSpaceAtTheReceiver(t *testing.T) {
	to, from := newSite(t), newSite(t)
	to.Stop()
	to.MinFree = diskspace.Floor{Bytes: 1 << 60}
	to.start()
	from.write("src/reel", 1000)
	tr := from.send(to, job{})
	got := from.until(tr, "waiting", func(t transfer.Transfer) bool { return strings.Contains(t.ErrorMessage, "waits") })
	want := to.Address + `: the transfer waits: the receiver has less than 1.0 EiB free in "/"; trying again`
	if got.Status != transfer.StatusPending || got.ErrorMessage != want {
		t.Errorf("it is %s: %s, want %s", got.Status, got.ErrorMessage, want)
	}
	if r := to.received(tr); r.ErrorMessage != `the transfer waits: the receiver has less than 1.0 EiB free in "/"` {
		t.Errorf("the receiver says %q", r.ErrorMessage)
	}
	to.Stop()
	to.MinFree = diskspace.Floor{}
	to.start()
	complete(t, from, to, tr)
}
