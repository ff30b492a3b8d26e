package sender

import (
	"net"
	"time"

	"jetstream/internal/transfer/wire"
)

// The congestion control of the connections to receivers, see Options.
const (
	CongestionAuto  = "auto"
	CongestionBBR   = "bbr"
	CongestionCubic = "cubic"
)

// Congestions returns the values of Options.Congestion, the default first.
func Congestions() []string { return []string{CongestionAuto, CongestionBBR, CongestionCubic} }

const (
	// defaultLanes is how many lanes a transfer has, unless Options.Lanes says
	// otherwise.
	defaultLanes = 4
	// lanePerTrip is for how much of the round trip there is a lane: the longer it is,
	// the longer a lane takes to reach its rate, and to get what was lost again.
	lanePerTrip = 25 * time.Millisecond
	// oneLaneBelow is the rate in bytes a second below which one lane is used: more
	// would only be in each other's way.
	oneLaneBelow = 10e6 / 8
)

// link is what is known of the way to a receiver.
type link struct {
	roundTrip time.Duration // 0 is not known
	control   string        // congestion control; "" is not known
	manyLanes bool          // BBR is wanted and not to be had
}

// choose returns what is known of the link of a new connection, with the
// congestion control that its transfer uses. With auto it is cubic where the
// receiver is near, since pacing costs processor time, else BBR, which does not
// take losses for congestion.
func (s *Sender) choose(nc net.Conn) link {
	l := readLink(nc)
	switch {
	case s.o.Policy == PolicyLow:
		l.control = CongestionCubic
	case s.o.Congestion != CongestionAuto:
		l.control = s.o.Congestion
	case l.roundTrip < near:
		l.control = CongestionCubic
	default:
		l.control = CongestionBBR
	}
	if err := setCongestion(nc, l.control); err != nil {
		if l.control == CongestionBBR && s.o.Congestion == CongestionAuto {
			l.manyLanes = true
		}
		s.refused.Do(func() {
			s.log.Warn("the kernel does not let this server choose the congestion control: on lossy links more lanes are used where there is no BBR, which is slower; "+
				"allow it with: modprobe tcp_bbr; sysctl -w net.ipv4.tcp_allowed_congestion_control=\"reno cubic bbr\"",
				"congestion", l.control, "error", err)
		})
		l.control = readLink(nc).control
	}
	return l
}

// lanesWanted returns how many lanes the transfer begins with: as many as there
// are pieces, or those of the options, and more where the receiver is far; all there
// may be where losses slow down each of them; one where it is to leave the link to
// others.
func (a *attempt) lanesWanted() int {
	n := max(a.s.o.Lanes, int(a.link.roundTrip/lanePerTrip))
	if a.link.manyLanes {
		n = wire.MaxLanes
	}
	if a.s.o.Policy == PolicyLow {
		n = 1
	}
	// Of the whole transfer, since the receiver may have lost what it confirmed.
	size := int64(a.link.pieceSize())
	return int(max(1, min(int64(n), wire.MaxLanes, (a.t.TotalBytes+size-1)/size))) // an empty file may have grown
}

// pieceSize returns how large pieces are.
func (l link) pieceSize() int {
	if l.roundTrip >= near {
		return pieceFar
	}
	return pieceNear
}

// lanesAtRate returns how many lanes may work at the present limits.
func (a *attempt) lanesAtRate() int {
	for _, l := range a.limiters {
		if r := l.Rate(); r > 0 && r < oneLaneBelow {
			return 1
		}
	}
	return wire.MaxLanes
}
