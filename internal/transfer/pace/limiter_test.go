package pace

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// passed lets bytes pass for a while and returns their rate in kbit/s.
func passed(t *testing.T, l *Limiter, most int, d time.Duration) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	sum := 0
	for {
		n := l.Piece(most)
		if err := l.Wait(ctx, n); err != nil {
			return float64(sum) * 8 / 1000 / d.Seconds()
		}
		sum += n
	}
}

func within(got, want, percent float64) bool {
	return got >= want*(1-percent/100) && got <= want*(1+percent/100)
}

func TestLimiterKeepsTheRate(t *testing.T) {
	t.Parallel()
	for _, kbit := range []int64{1_000, 10_000, 100_000, 1_000_000} {
		synctest.Test(t, func(t *testing.T) {
			var l Limiter
			l.SetRate(kbit)
			if got := passed(t, &l, 1<<20, 10*time.Second); !within(got, float64(kbit), 1) {
				t.Errorf("at %d kbit/s %.0f pass", kbit, got)
			}
		})
	}
}

// TestLimiterIsShared: all who wait together get the rate, and none is left out.
func TestLimiterIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		l.SetRate(10_000)
		var wg sync.WaitGroup
		rates := make([]float64, 4)
		for i := range rates {
			wg.Go(func() { rates[i] = passed(t, &l, 1<<20, 10*time.Second) })
		}
		wg.Wait()
		for _, r := range rates {
			if !within(r, 2_500, 3) {
				t.Errorf("four share 10000 kbit/s as %.0f", rates)
				break
			}
		}
	})
}

// TestLimiterChangesAtOnce: what waits does not wait for the former rate.
func TestLimiterChangesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		l.SetRate(1) // a piece takes 8 s
		if err := l.Wait(t.Context(), leastPiece); err != nil {
			t.Fatal(err)
		}
		waited := make(chan time.Duration)
		begin := time.Now()
		go func() {
			_ = l.Wait(t.Context(), leastPiece)
			waited <- time.Since(begin)
		}()
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
		l.SetRate(1_000)
		if d := <-waited; d > 1100*time.Millisecond {
			t.Errorf("after the change it waits until %v", d)
		}
		l.SetRate(2_000)
		if got := passed(t, &l, 1<<20, 10*time.Second); !within(got, 2_000, 1) {
			t.Errorf("at 2000 kbit/s %.0f pass", got)
		}
		l.SetRate(0)
		if err := l.Wait(t.Context(), 1<<40); err != nil || l.Piece(7) != 7 {
			t.Errorf("without a limit: %v, pieces of %d", err, l.Piece(7))
		}
		l.SetRate(1)
		_ = l.Wait(t.Context(), 1<<20)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// TestLimiterCatchesUp: what a busy processor delays a little is not lost, and what
// was not wanted for long is not saved up.
func TestLimiterCatchesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		l.SetRate(8_000)
		for pause, want := range map[time.Duration]int{60 * time.Millisecond: 60_000, time.Minute: 100_000} {
			_ = l.Wait(t.Context(), 1) // which waits for what passed before
			_ = l.Wait(t.Context(), 1)
			time.Sleep(pause) //nolint:forbidigo // the bubble's clock
			begin, sum := time.Now(), 0
			for time.Since(begin) == 0 {
				_ = l.Wait(t.Context(), 1_000)
				sum += 1_000
			}
			if sum < want || sum > want+2_000 {
				t.Errorf("after %v, %d bytes pass at once, want %d", pause, sum, want)
			}
		}
	})
}
