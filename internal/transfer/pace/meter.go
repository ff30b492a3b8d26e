// Package pace measures the rates of transfers and keeps them below a limit.
package pace

import (
	"sync"
	"time"
)

// window is the number of seconds that a rate is averaged over.
const window = 5

// Meter measures the rate over the last few seconds. The zero value is ready to
// use. Safe for concurrent use.
type Meter struct {
	mu      sync.Mutex
	buckets [window + 1]int64 // bytes by second, a ring
	last    int64             // the second of the newest bucket
	first   time.Time         // when the first bytes were added
}

// Add adds bytes that were transferred just now.
func (m *Meter) Add(bytes int64) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.first.IsZero() {
		m.first = now
	}
	m.turn(now)
	m.buckets[m.last%int64(len(m.buckets))] += bytes
}

// Rate returns the current rate in kbit/s.
func (m *Meter) Rate() float64 {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.first.IsZero() {
		return 0
	}
	m.turn(now)
	var sum int64
	for _, n := range m.buckets {
		sum += n
	}
	// The ring holds the current second so far and the whole ones before it.
	span := float64(len(m.buckets)-1) + float64(now.Nanosecond())/1e9
	span = min(span, max(now.Sub(m.first).Seconds(), 0.05))
	return float64(sum) * 8 / 1000 / span
}

// turn clears the buckets of the seconds that have passed.
func (m *Meter) turn(now time.Time) {
	second := now.Unix()
	if second-m.last >= int64(len(m.buckets)) || second < m.last {
		clear(m.buckets[:])
		m.last = second
		return
	}
	for m.last < second {
		m.last++
		m.buckets[m.last%int64(len(m.buckets))] = 0
	}
}
