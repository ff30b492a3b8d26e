package sender

import (
	"testing"
	"time"
)

// line is a link with a queue, and another sender on it who fills both or is silent.
type line struct {
	rate  float64 // bytes a second
	least time.Duration
	queue float64 // bytes
	most  float64 // bytes in the queue at most
	busy  bool
}

// pass lets a lane send at a rate for a step, and returns what it finds.
func (l *line) pass(rate float64, step time.Duration) path {
	var delivered float64
	if l.busy {
		// The other fills the queue after each loss within some seconds.
		l.queue = max(0.4*l.most, l.queue+l.most*step.Seconds()/5)
		delivered = rate / (1 + rate/l.rate)
	} else {
		l.queue = max(0, l.queue+(rate-l.rate)*step.Seconds())
		delivered = min(rate, l.rate)
	}
	if l.queue > l.most {
		l.queue = 0.7 * l.most
	}
	return path{l.least + time.Duration(l.queue/l.rate*float64(time.Second)), l.least, delivered}
}

// Alone it takes most of the link, beside another next to nothing, and all of it
// again when that has ended.
func TestLowPolicyLeavesTheLinkToOthers(t *testing.T) {
	const rate = 100e6 / 8
	for name, l := range map[string]line{
		"long queue":    {rate: rate, least: 40 * time.Millisecond, most: rate * 0.04},
		"short queue":   {rate: rate, least: 40 * time.Millisecond, most: rate * 0.015},
		"long distance": {rate: rate, least: 300 * time.Millisecond, most: rate * 0.3},
		"slow link":     {rate: 1e6, least: 20 * time.Millisecond, most: 1e5},
	} {
		s := newSteering()
		step := max(steerEvery, l.least)
		for _, c := range []struct {
			busy        bool
			least, most float64 // share of the link
		}{{false, 0.8, 1.1}, {true, 0, 0.2}, {false, 0.8, 1.1}} {
			l.busy = c.busy
			var sum float64
			for i := range 300 {
				p := l.pass(s.rate, step)
				s.next(p)
				if i >= 150 {
					sum += p.delivered
				}
			}
			if share := sum / 150 / l.rate; share < c.least || share > c.most {
				t.Errorf("%s, another sender %t: %.0f %% of the link", name, c.busy, 100*share)
			}
		}
	}
}

// A lane that waits for its sources, or that losses hold up, does not run ahead.
func TestLowPolicyDoesNotRunAhead(t *testing.T) {
	s := newSteering()
	for range 100 {
		s.next(path{40 * time.Millisecond, 40 * time.Millisecond, 1e6})
	}
	if s.rate > 5e6 {
		t.Errorf("the rate is %.0f bytes a second where 1e6 go through", s.rate)
	}
}
