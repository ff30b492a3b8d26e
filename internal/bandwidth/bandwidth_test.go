package bandwidth

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer/pace"
)

type memory map[string]string

func (m memory) Meta(_ context.Context, name string) (string, error) { return m[name], nil }

func (m memory) SetMeta(_ context.Context, name, value string) error {
	m[name] = value
	return nil
}

// rate lets bytes pass for some seconds and returns their rate in kbit/s.
func rate(ctx context.Context, l *pace.Limiter) float64 {
	const d = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	sum := 0
	for {
		n := l.Piece(1 << 20)
		if l.Wait(ctx, n) != nil {
			return float64(sum) * 8 / 1000 / d.Seconds()
		}
		sum += n
	}
}

func about(got, want float64) bool { return got > want*0.95 && got < want*1.05 }

func TestWhatIsNotUsedIsLent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits           Limits
		in, out, outBoth float64 // alone, and of sending while both are busy
	}{
		"without":         {Limits{Incoming: 1000, Outgoing: 3000}, 1000, 3000, 3000},
		"sending borrows": {Limits{Incoming: 1000, Outgoing: 3000, BorrowIncoming: true}, 1000, 4000, 3000},
		"both borrow":     {Limits{Incoming: 1000, Outgoing: 3000, BorrowIncoming: true, BorrowOutgoing: true}, 4000, 4000, 3000},
		"nothing to lend": {Limits{Outgoing: 3000, BorrowIncoming: true}, 0, 3000, 3000},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l, err := New(ctx, memory{}, &c.limits)
			if err != nil {
				t.Fatal(err)
			}
			go func() { _ = l.Serve(ctx) }()
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
			if c.limits.Incoming > 0 {
				if got := rate(ctx, &l.In); !about(got, c.in) {
					t.Errorf("%s: %.0f are received, want %.0f", name, got, c.in)
				}
				time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
			}
			if got := rate(ctx, &l.Out); !about(got, c.out) {
				t.Errorf("%s: %.0f are sent, want %.0f", name, got, c.out)
			}
			if c.limits.Incoming == 0 {
				return
			}
			var both sync.WaitGroup
			both.Go(func() { rate(ctx, &l.In) })
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
			if got := rate(ctx, &l.Out); got > c.outBoth*1.2 {
				t.Errorf("%s: while as much is received as may, %.0f are sent, want %.0f", name, got, c.outBoth)
			}
			both.Wait()
		})
	}
}

// TestLendingBeginsAndEndsWithTheLimits: it costs nothing where nothing is lent.
func TestLendingBeginsAndEndsWithTheLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		l, err := New(ctx, memory{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = l.Serve(ctx) }()
		in, out := int64(1000), int64(3000)
		for _, borrow := range []bool{false, true, false, true} {
			if _, err := l.Update(ctx, Change{Incoming: &in, Outgoing: &out, BorrowIncoming: &borrow}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
			want := 3000.0
			if borrow {
				want = 4000
			}
			if got := rate(ctx, &l.Out); !about(got, want) {
				t.Errorf("with borrowing %t %.0f are sent, want %.0f", borrow, got, want)
			}
		}
	})
}

func TestLimitsAreKept(t *testing.T) {
	t.Parallel()
	kept, ctx := memory{}, t.Context()
	l, err := New(ctx, kept, nil)
	if err != nil || l.Limits() != (Limits{}) {
		t.Fatalf("at first %+v (%v)", l.Limits(), err)
	}
	out, borrow := int64(3000), true
	want := Limits{Outgoing: 3000, BorrowIncoming: true}
	if got, err := l.Update(ctx, Change{Outgoing: &out, BorrowIncoming: &borrow}); got != want || err != nil {
		t.Errorf("changed to %+v (%v)", got, err)
	}
	if l, err = New(ctx, kept, nil); err != nil || l.Limits() != want {
		t.Errorf("after a restart %+v (%v)", l.Limits(), err)
	}
	if l, err = New(ctx, kept, &Limits{Incoming: 7}); err != nil || l.Limits() != (Limits{Incoming: 7}) {
		t.Errorf("given at the start %+v (%v)", l.Limits(), err)
	}
	if _, err := l.Update(ctx, Change{Outgoing: &out}); !errors.Is(err, &api.Error{Code: api.CodeConflict}) {
		t.Errorf("a change of fixed limits: %v", err)
	}
	if got, err := l.Update(ctx, Change{}); got != (Limits{Incoming: 7}) || err != nil {
		t.Errorf("no change of fixed limits: %+v (%v)", got, err)
	}
	if _, err := New(ctx, memory{settingsKey: "{"}, nil); err == nil {
		t.Error("limits that cannot be read are taken")
	}
}
