package sender_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/sender"
	"jetstream/internal/transfer/wire"
)

// board is an engine with a few transfers in memory, for tests of times. No
// connection is ever made.
type board struct {
	sender.Engine // nil: what is not needed here must not be called
	wake          chan struct{}
	mu            sync.Mutex
	transfers     map[string]*transfer.Transfer
	order         []string
}

func (*board) NextAttempt(string, time.Time) {}

func (b *board) Wake() <-chan struct{}                       { return b.wake }
func (b *board) Watch(string) (<-chan struct{}, func())      { return make(chan struct{}), func() {} }
func (b *board) Unreached(string, error)                     {}
func (b *board) Password(*transfer.Transfer) (string, error) { return "password", nil }
func (b *board) Entitled(context.Context, string) error      { return nil }
func (b *board) LoadDestination(context.Context, string) (transfer.Destination, error) {
	return transfer.Destination{}, nil
}

func (b *board) Runnable(_ context.Context, except []string, limit int) (list []transfer.Transfer, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.order {
		if t := b.transfers[id]; (t.Processing || t.TellPeer) && !slices.Contains(except, id) && len(list) < limit {
			list = append(list, *t)
		}
	}
	return list, nil
}

func (b *board) LoadTransfer(_ context.Context, id string) (transfer.Transfer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *b.transfers[id], nil
}

func (b *board) Change(_ context.Context, id string, change func(*transfer.Transfer) error) (transfer.Transfer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := change(b.transfers[id])
	return *b.transfers[id], err
}

func newBoard(n int) *board {
	b := &board{wake: make(chan struct{}, 1), transfers: map[string]*transfer.Transfer{}}
	for range n {
		id := api.NewID()
		b.order = append(b.order, id)
		b.transfers[id] = &transfer.Transfer{
			TransferID: id, Status: transfer.StatusPending, Processing: true, DestinationAddress: "host", DestinationPort: 1,
		}
	}
	return b
}

// withFakeClock runs test on a fake clock. serve runs a sender until the end of
// test.
func withFakeClock(t *testing.T, test func(t *testing.T, serve func(sender.Options))) {
	t.Helper()
	id, err := wire.LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		test(t, func(o sender.Options) {
			t.Helper()
			o.Identity = id
			s, err := sender.New(o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- s.Serve(ctx) }()
			t.Cleanup(func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	})
}

func TestBackOffDoublesToTenSecondsAndWakes(t *testing.T) {
	withFakeClock(t, func(t *testing.T, serve func(sender.Options)) {
		b := newBoard(1)
		begin := time.Now()
		var mu sync.Mutex
		var tries []time.Duration
		serve(sender.Options{Engine: b, Dial: func(context.Context, string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			tries = append(tries, time.Since(begin))
			return nil, errors.New("nobody there")
		}})
		time.Sleep(36*time.Second + time.Millisecond) //nolint:forbidigo // the bubble's clock
		b.wake <- struct{}{}
		synctest.Wait()
		mu.Lock()
		var want []time.Duration
		for _, seconds := range []float64{0, 1, 3, 7, 15, 25, 35, 36.001} {
			want = append(want, time.Duration(seconds*float64(time.Second)))
		}
		if !slices.Equal(tries, want) {
			t.Errorf("tried at %v, want %v", tries, want)
		}
		mu.Unlock()
		got, _ := b.LoadTransfer(t.Context(), b.order[0])
		if got.Status != transfer.StatusPending || got.ErrorMessage != "host:1 cannot be reached: nobody there; trying again" {
			t.Errorf("it is %s: %q", got.Status, got.ErrorMessage)
		}
	})
}

func TestAtMostEightAtATimeInOrder(t *testing.T) {
	withFakeClock(t, func(t *testing.T, serve func(sender.Options)) {
		b := newBoard(20)
		var mu sync.Mutex
		now, most := 0, 0
		serve(sender.Options{Engine: b, Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			now--
			mu.Unlock()
			return nil, ctx.Err()
		}})
		synctest.Wait()
		mu.Lock()
		if now != 8 || most != 8 {
			t.Errorf("%d connections are dialled at a time, want 8", most)
		}
		mu.Unlock()
	})
}

func TestReceiverIsNotifiedForTwoDays(t *testing.T) {
	withFakeClock(t, func(t *testing.T, serve func(sender.Options)) {
		b := newBoard(2)
		for i, id := range b.order {
			tr := b.transfers[id]
			tr.Status, tr.Processing, tr.TellPeer, tr.EndTime = transfer.StatusCancelled, false, true, api.Now()
			if i == 0 { // the other never got a ticket: there is nothing to tell
				tr.Ticket = make([]byte, 32)
			}
		}
		begin := time.Now()
		var mu sync.Mutex
		tries, last := 0, time.Duration(0)
		serve(sender.Options{Engine: b, Dial: func(context.Context, string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			tries, last = tries+1, time.Since(begin)
			return nil, errors.New("nobody there")
		}})
		synctest.Wait()
		if got, _ := b.LoadTransfer(t.Context(), b.order[1]); got.TellPeer {
			t.Error("a receiver that never gave a ticket is still to be told")
		}
		time.Sleep(49 * time.Hour) //nolint:forbidigo // the bubble's clock
		mu.Lock()
		if last < 47*time.Hour || last > 48*time.Hour || tries < 10_000 {
			t.Errorf("tried %d times, the last after %v; want until 48 h", tries, last)
		}
		mu.Unlock()
		if got, _ := b.LoadTransfer(t.Context(), b.order[0]); got.TellPeer || got.Status != transfer.StatusCancelled {
			t.Errorf("after two days it is %s, to be told: %v", got.Status, got.TellPeer)
		}
	})
}

// Transfers to unreachable receivers, whose dials time out, may not occupy all
// slots, and each of them must be retried.
func TestUnreachableReceiversDoNotBlockOthers(t *testing.T) {
	withFakeClock(t, func(t *testing.T, serve func(sender.Options)) {
		const silent = 40
		b := newBoard(silent)
		for i, id := range b.order {
			b.transfers[id].DestinationPort = 1000 + i
		}
		var mu sync.Mutex
		dialled, alive := map[string]int{}, make(chan struct{}, 1)
		serve(sender.Options{Engine: b, Dial: func(ctx context.Context, address string) (net.Conn, error) {
			if address == "alive:1" {
				alive <- struct{}{}
				<-ctx.Done()
				return nil, ctx.Err()
			}
			mu.Lock()
			dialled[address]++
			mu.Unlock()
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(10 * time.Second):
				return nil, context.DeadlineExceeded
			}
		}})
		time.Sleep(15 * time.Minute) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		mu.Lock()
		for i := range silent {
			if n := dialled[net.JoinHostPort("host", strconv.Itoa(1000+i))]; n < 5 {
				t.Errorf("receiver %d was tried %d times", i, n)
			}
		}
		mu.Unlock()

		fresh := api.NewID()
		b.mu.Lock()
		b.order = append(b.order, fresh)
		b.transfers[fresh] = &transfer.Transfer{
			TransferID: fresh, Status: transfer.StatusPending, Processing: true, DestinationAddress: "alive", DestinationPort: 1,
		}
		b.mu.Unlock()
		b.wake <- struct{}{}
		synctest.Wait()
		select {
		case <-alive:
		default:
			t.Error("a new transfer waits for those whose receivers do not answer")
		}
	})
}

// counter counts the lines of a log at level info and above.
type counter struct{ lines atomic.Int64 }

func (c *counter) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (c *counter) Handle(context.Context, slog.Record) error    { c.lines.Add(1); return nil }
func (c *counter) WithAttrs([]slog.Attr) slog.Handler           { return c }
func (c *counter) WithGroup(string) slog.Handler                { return c }

// Attempts to reach a receiver for a day log one line for each new reason.
func TestReceiverThatStaysAwayIsLoggedOnce(t *testing.T) {
	withFakeClock(t, func(t *testing.T, serve func(sender.Options)) {
		b, log, begin := newBoard(3), &counter{}, time.Now()
		serve(sender.Options{Engine: b, Log: slog.New(log), Dial: func(context.Context, string) (net.Conn, error) {
			if time.Since(begin) > 12*time.Hour {
				return nil, errors.New("no route")
			}
			return nil, errors.New("nobody there")
		}})
		time.Sleep(24 * time.Hour) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		if n := log.lines.Load(); n != 6 {
			t.Errorf("%d lines about three transfers with two reasons each, want 6", n)
		}
	})
}
