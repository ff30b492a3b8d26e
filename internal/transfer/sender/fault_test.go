package sender_test

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"jetstream/internal/transfer"
)

// cutter is a TCP proxy that closes each connection after a number of bytes
// from the client, which grows from connection to connection.
type cutter struct {
	ln     net.Listener
	target string
	wg     sync.WaitGroup

	mu    sync.Mutex
	limit int64
	grow  int64
	cuts  int
	left  int // connections that are cut; later ones are not
}

func newCutter(t *testing.T, target string, first, grow int64, cuts int) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{ln: ln, target: target, limit: first, grow: grow, left: cuts}
	c.wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.carry(in) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); c.wg.Wait() })
	return c
}

func (c *cutter) carry(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer out.Close()
	c.mu.Lock()
	limit, cut := c.limit, c.left > 0
	c.limit += c.grow
	c.left--
	c.mu.Unlock()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(in, out)
		_ = in.Close()
	}()
	if cut {
		n, _ := io.CopyN(out, in, limit)
		if n == limit {
			c.mu.Lock()
			c.cuts++
			c.mu.Unlock()
		}
	} else {
		_, _ = io.Copy(out, in)
	}
	_ = in.Close()
	_ = out.Close()
	<-back
}

func TestBrokenConnectionsGoOnWithWhatIsMissing(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/big.bin", 24<<20)
	for _, name := range []string{"a", "b", "c", "zz", "zzz"} {
		a.write("src/"+name, 40_000)
	}
	proxy := newCutter(t, b.Address, 3<<20, 4<<20, 4)
	tr := a.send(b, job{to: proxy.ln.Addr().String()})
	complete(t, a, b, tr)
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))
	proxy.mu.Lock()
	defer proxy.mu.Unlock()
	// The connections carry 3, 7, 11 and 15 MiB, together more than the
	// transfer: if each had begun with the first file, the fourth would not
	// have been cut.
	if proxy.cuts < 3 {
		t.Errorf("the connection was cut %d times, want 3 at least", proxy.cuts)
	}
	if strings.Contains(b.log.String(), "level=ERROR") {
		t.Errorf("the receiver logged an error:\n%s", b.log)
	}
}

func TestAbsentReceiverIsWaitedFor(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/file", 1000)
	b.Stop()
	tr := a.send(b, job{})
	got := a.until(tr, "waiting with a reason", func(t transfer.Transfer) bool { return t.ErrorMessage != "" })
	if got.Status != transfer.StatusPending || !strings.Contains(got.ErrorMessage, b.Address+" cannot be reached") {
		t.Errorf("it is %s and says %q, want pending and that %s cannot be reached", got.Status, got.ErrorMessage, b.Address)
	}
	b.start()
	complete(t, a, b, tr)
	if got := a.wait(tr); got.ErrorMessage != "" {
		t.Errorf("the error message %q stays after success", got.ErrorMessage)
	}
}

// stalled is a TCP proxy whose first connection stalls after n bytes, so that a
// test can restart a server in the middle of a transfer. reached is closed
// then.
func stalled(t *testing.T, target string, n int64) (address string, reached <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hit := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	wg.Go(func() {
		first := true
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			stall := first
			first = false
			wg.Go(func() {
				defer in.Close()
				out, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				defer out.Close()
				back := make(chan struct{})
				go func() { defer close(back); _, _ = io.Copy(in, out); _ = in.Close() }()
				if stall {
					_, _ = io.CopyN(out, in, n)
					once.Do(func() { close(hit) })
					<-back // until the receiver hangs up
				} else {
					_, _ = io.Copy(out, in)
				}
				_ = out.Close()
				<-back
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	return ln.Addr().String(), hit
}

func TestTransferContinuesAfterRestarts(t *testing.T) {
	for _, side := range []string{"sender", "receiver", "both"} {
		t.Run(side, func(t *testing.T) {
			a, b := newSite(t), newSite(t)
			for _, name := range []string{"1", "2", "3", "4", "5", "6"} {
				a.write("src/"+name, 2<<20)
			}
			address, reached := stalled(t, b.Address, 7<<20)
			tr := a.send(b, job{to: address})
			<-reached
			if side != "receiver" {
				a.Stop()
			}
			if side != "sender" {
				b.Stop()
				b.start()
			}
			if side != "receiver" {
				a.start()
			}
			complete(t, a, b, tr)
			same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))
		})
	}
}

func TestCancelReachesTheReceiver(t *testing.T) {
	a, b := newSite(t), newSite(t)
	tr := halfway(t, a, b)
	if _, err := a.engine.CancelTransfer(t.Context(), by("bob"), tr.TransferID); err != nil {
		t.Fatal(err)
	}
	a.until(tr, "told", func(t transfer.Transfer) bool { return !t.TellPeer })
	if r := b.received(tr); r.Status != transfer.StatusCancelled {
		t.Errorf("at the receiver it is %s (%s), want cancelled", r.Status, r.ErrorMessage)
	}
	b.noLeftovers()
	if n := len(b.events(tr)); n != 0 {
		t.Errorf("%d events for a cancelled transfer", n)
	}
}

func TestCancelReachesAReceiverThatWasAway(t *testing.T) {
	a, b := newSite(t), newSite(t)
	tr := halfway(t, a, b)
	b.Stop()
	if _, err := a.engine.CancelTransfer(t.Context(), by("bob"), tr.TransferID); err != nil {
		t.Fatal(err)
	}
	b.start()
	a.until(tr, "told", func(t transfer.Transfer) bool { return !t.TellPeer })
	if r := b.received(tr); r.Status != transfer.StatusCancelled {
		t.Errorf("at the receiver it is %s (%s), want cancelled", r.Status, r.ErrorMessage)
	}
	b.noLeftovers()
}
