package sender_test

import (
	"io"
	"math"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"jetstream/internal/transfer"
)

// cutter is a TCP proxy that closes connections after a number of bytes from the
// client.
type cutter struct {
	ln     net.Listener
	target string
	limit  int64
	wg     sync.WaitGroup

	mu      sync.Mutex
	carried int64 // bytes from the client
	cuts    int
	left    int // connections that are cut; later ones are not
}

func newCutter(t *testing.T, target string, limit int64, cuts int) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{ln: ln, target: target, limit: limit, left: cuts}
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
	cut := c.left > 0
	c.left--
	c.mu.Unlock()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(in, out)
		_ = in.Close()
	}()
	limit := int64(math.MaxInt64)
	if cut {
		limit = c.limit
	}
	n, _ := io.CopyN(out, in, limit)
	c.mu.Lock()
	c.carried += n
	if n == limit {
		c.cuts++
	}
	c.mu.Unlock()
	_ = in.Close()
	_ = out.Close()
	<-back
}

// A lane that breaks costs what it had not delivered, and no other lane anything.
func TestBrokenLanesAreReplaced(t *testing.T) {
	a, b := newSite(t), newSite(t)
	const size, cutAt = 24 << 20, 1500 << 10
	a.write("src/big.bin", size)
	for _, name := range []string{"a", "b", "c", "zz", "zzz"} {
		a.write("src/"+name, 40_000)
	}
	proxy := newCutter(t, b.Address, cutAt, 9)
	tr := a.send(b, job{to: proxy.ln.Addr().String()})
	complete(t, a, b, tr)
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))
	a.Stop() // all connections are closed and counted
	_ = proxy.ln.Close()
	proxy.wg.Wait()
	if proxy.cuts < 5 { // one of those that would be may have little to carry
		t.Errorf("lanes were cut %d times, want 5 at least", proxy.cuts)
	}
	if most := int64(size + 8*(cutAt+1<<20)); proxy.carried > most {
		t.Errorf("%d bytes were sent for %d, want %d at most", proxy.carried, size, most)
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

// stalled is a TCP proxy whose first connections stall after n bytes together,
// so that a test can restart a server in the middle of a transfer. reached is closed
// then; later connections do not stall.
func stalled(t *testing.T, target string, n int64) (address string, reached <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hit, over := make(chan struct{}), make(chan struct{})
	var left atomic.Int64
	left.Store(n)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			stall := left.Load() > 0
			wg.Go(func() {
				defer in.Close()
				out, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				defer out.Close()
				back := make(chan struct{})
				go func() { defer close(back); _, _ = io.Copy(in, out); _ = in.Close() }()
				buf := make([]byte, 16<<10)
				for {
					got, err := in.Read(buf)
					if err != nil {
						break
					}
					if stall {
						rest := left.Add(-int64(got))
						if rest <= 0 && rest+int64(got) > 0 {
							close(hit)
						}
						if rest <= 0 {
							select {
							case <-back: // the receiver has hung up
							case <-over:
							}
							break
						}
					}
					if _, err := out.Write(buf[:got]); err != nil {
						break
					}
				}
				_ = out.Close()
				<-back
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); close(over); wg.Wait() })
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

// A lane that falls silent is dialled anew, and what it had taken goes over
// others.
func TestSilentLanesAreReplaced(t *testing.T) {
	t.Parallel()
	a, b := newSite(t), newSite(t)
	a.write("src/big.bin", 12<<20)
	proxy := newMuter(t, b.Address, 1<<20)
	tr := a.send(b, job{to: proxy.Addr().String()})
	complete(t, a, b, tr)
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))
	if log := a.log.String(); !strings.Contains(log, "a lane broke") || strings.Contains(log, "a transfer waits") {
		t.Errorf("no lane was replaced, or the transfer was interrupted:\n%s", log)
	}
}

// newMuter is a TCP proxy that passes nothing on any more, without closing it, of
// the first connection that has carried n bytes from its client.
func newMuter(t *testing.T, target string, n int64) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var muted atomic.Bool
	over := make(chan struct{})
	wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				_ = in.Close()
				continue
			}
			var silent atomic.Bool
			carry := func(to, from net.Conn, count bool) {
				defer to.Close()
				buf := make([]byte, 16<<10)
				for total := int64(0); ; {
					got, err := from.Read(buf)
					if err != nil {
						return
					}
					if total += int64(got); count && total > n && muted.CompareAndSwap(false, true) {
						silent.Store(true)
					}
					if silent.Load() {
						<-over
						return
					}
					if _, err := to.Write(buf[:got]); err != nil {
						return
					}
				}
			}
			wg.Go(func() { carry(out, in, true) })
			wg.Go(func() { carry(in, out, false) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); close(over); wg.Wait() })
	return ln
}
