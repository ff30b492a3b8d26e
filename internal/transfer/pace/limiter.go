package pace

import (
	"context"
	"sync"
	"time"
)

const (
	// quantum is the time that the pieces that are let pass take at the rate.
	quantum = 20 * time.Millisecond
	// catchUp is how far behind they may be caught up with: for as long a busy
	// processor may keep those waiting that share a limiter.
	catchUp = 5 * quantum
	// leastPiece is how small pieces are made for the sake of the rate, in bytes.
	leastPiece = 1 << 10
)

// Limiter lets bytes pass at a rate, which may be changed at any time. Whoever
// shares a Limiter shares its rate, in the order of the calls of Wait. The zero
// value has no limit. Safe for concurrent use.
type Limiter struct {
	mu      sync.Mutex
	rate    float64       // bytes a second; 0: no limit
	next    time.Time     // when the bytes let pass so far have taken their time
	changed chan struct{} // closed by the next change of the rate; nil: nobody waits
	passed  int64         // bytes given to Wait
}

// SetRate sets the rate in kbit/s; 0 is no limit. What waits at the former rate
// waits at the new one from now on.
func (l *Limiter) SetRate(kbit int64) {
	rate := float64(max(kbit, 0)) * 1000 / 8
	l.mu.Lock()
	defer l.mu.Unlock()
	if rate == l.rate {
		return
	}
	now := time.Now()
	switch {
	case rate == 0 || l.rate == 0:
		l.next = now
	case l.next.After(now):
		l.next = now.Add(scaled(l.next.Sub(now), l.rate/rate))
	}
	l.rate = rate
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Rate returns the rate in bytes a second; 0 is no limit.
func (l *Limiter) Rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate
}

// Passed returns how many bytes were given to Wait.
func (l *Limiter) Passed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.passed
}

// Piece returns how many bytes should be given to Wait at a time, most at most.
func (l *Limiter) Piece(most int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate == 0 {
		return most
	}
	return int(min(float64(most), max(l.rate*quantum.Seconds(), leastPiece)))
}

// Wait waits until n bytes may pass, or ctx ends.
func (l *Limiter) Wait(ctx context.Context, n int) error {
	l.mu.Lock()
	l.passed += int64(n)
	if l.rate == 0 {
		l.mu.Unlock()
		return ctx.Err()
	}
	now := time.Now()
	if behind := now.Add(-catchUp); l.next.Before(behind) {
		l.next = behind
	}
	turn := l.next
	l.next = l.next.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
	for {
		left := turn.Sub(now)
		if left <= 0 {
			l.mu.Unlock()
			return ctx.Err()
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed, former := l.changed, l.rate
		l.mu.Unlock()
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
			return nil
		case <-changed:
			timer.Stop()
		}
		l.mu.Lock()
		now = time.Now()
		if l.rate == 0 {
			turn = now
		} else {
			turn = now.Add(scaled(turn.Sub(now), former/l.rate))
		}
	}
}

// scaled multiplies a duration, which stays within a year.
func scaled(d time.Duration, factor float64) time.Duration {
	const year = 365 * 24 * time.Hour
	return time.Duration(min(float64(d)*factor, float64(year)))
}
