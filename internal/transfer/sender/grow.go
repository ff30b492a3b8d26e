package sender

import (
	"time"

	"jetstream/internal/transfer/wire"
)

// growEvery is how often a lane may be added.
const growEvery = time.Second

// work is what the kernel counted of the sending of some connections.
type work struct {
	acknowledged int64         // bytes
	busy         time.Duration // with data to send
	held         time.Duration // of busy: the send buffer or the window of the receiver was full
}

func (w work) plus(v work) work {
	return work{w.acknowledged + v.acknowledged, w.busy + v.busy, w.held + v.held}
}

// growth decides whether a transfer gets another lane.
type growth struct {
	last work  // at the last look
	rate int64 // bytes acknowledged in the period that the last lane was added after
}

// more takes the work of all lanes so far, once in growEvery, and reports whether one
// more lane, if there may be one, would send more: windows hold them up for an
// eighth of the time, and the lane that was added last, if one was, brought a
// quarter of its share.
func (g *growth) more(now work, lanes int, may bool) bool {
	rate, busy, held := now.acknowledged-g.last.acknowledged, now.busy-g.last.busy, now.held-g.last.held
	g.last = now
	if !may || lanes == 0 || busy < time.Duration(lanes)*growEvery/2 || held < busy/8 || rate < g.rate+g.rate/int64(4*lanes) {
		return false
	}
	g.rate = rate
	return true
}

// grow makes a lane, of most, if the windows of those that there are hold up the
// transfer, and returns it; else nil.
func (s *stream) grow(g *growth, most int) *lane {
	conns := s.open()
	var now work
	for _, conn := range conns {
		now = now.plus(readWork(conn.NetConn()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.lanes)
	may := n < min(most, wire.MaxLanes) && len(conns) == n && s.a.s.o.Policy != PolicyLow && s.a.link.roundTrip >= near && s.queue.full()
	for _, l := range s.a.limiters {
		may = may && l.Rate() == 0
	}
	if !g.more(now, n, may) {
		return nil
	}
	s.queue.addLane()
	l := &lane{s: s, number: n, shrink: s.a.newShrink()}
	s.lanes = append(s.lanes, l)
	return l
}
