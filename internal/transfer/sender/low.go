package sender

import (
	"context"
	"net"
	"time"
)

// The policies, see Options.
const (
	PolicyFair = "fair"
	PolicyLow  = "low"
)

// Policies returns the values of Options.Policy, the default first.
func Policies() []string { return []string{PolicyFair, PolicyLow} }

const (
	// steerEvery is how often the rate of a lane with PolicyLow is set, at most
	// once in a round trip; the delay is the least of samples.
	steerEvery = 100 * time.Millisecond
	samples    = 5
	// leastRate is the lowest rate in bytes a second that it is set to, so that
	// the transfer goes on and the delay is known. It begins with firstRate.
	leastRate, firstRate = 32 << 10, 256 << 10
	// leastDelay and mostDelay bound the queueing delay that is short, delayShare is
	// which part of the longest one that was seen is.
	leastDelay, mostDelay = 5 * time.Millisecond, 25 * time.Millisecond
	delayShare            = 0.15
	// The rate is doubled until there is the first long queue; later it grows by
	// acceleration more of it each time while they are short, by fastest at most.
	// slowest is what is left of it at a time when they are long.
	acceleration, fastest, slowest = 0.01, 0.1, 0.5
)

// path is what the kernel knows of the way that a connection takes.
type path struct {
	roundTrip, leastRoundTrip time.Duration
	delivered                 float64 // bytes a second
}

// steering sets the rate of a lane that is to leave the link to others: it
// grows while queues are short, and shrinks when they are long, which is before
// packets are lost and others slow down. What is short is seen by the longest
// delay, as in TCP-LP, since a queue that others keep filled never shows how far
// away the receiver is.
type steering struct {
	rate    float64       // bytes a second
	growth  float64       // by which part the rate grows without a queue
	longest time.Duration // queueing delay
}

func newSteering() *steering { return &steering{rate: firstRate, growth: 1} }

// next returns the rate from now on.
func (s *steering) next(p path) float64 {
	queued := p.roundTrip - p.leastRoundTrip
	s.longest = max(s.longest, queued)
	short := min(max(time.Duration(float64(s.longest)*delayShare), leastDelay), mostDelay)
	room := float64(short-queued) / float64(short) // 1 without a queue
	switch {
	case room < 0:
		s.growth = acceleration
		s.rate *= max(1+room/4, slowest)
	case p.delivered*(1.1+s.growth) > s.rate: // else something else holds it up
		s.rate *= 1 + s.growth*room
		s.growth = max(s.growth, min(s.growth+acceleration, fastest))
	}
	s.rate = max(s.rate, leastRate)
	return s.rate
}

// steer sets the rate of a lane until ctx ends.
func steer(ctx context.Context, nc net.Conn) {
	s := newSteering()
	p := readPath(nc)
	for {
		setPacing(nc, uint64(s.next(p)))
		wait := max(steerEvery, p.roundTrip) / samples
		for i := range samples {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			now := readPath(nc)
			if i > 0 {
				now.roundTrip = min(now.roundTrip, p.roundTrip) // without what is only jitter
			}
			p = now
		}
	}
}
