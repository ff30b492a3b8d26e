package sender

import (
	"strings"
	"testing"
	"time"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/pace"
	"jetstream/internal/transfer/wire"
)

func TestLanesAtFirst(t *testing.T) {
	far := link{roundTrip: 100 * time.Millisecond}
	lossy := far
	lossy.manyLanes = true
	at := func(trip time.Duration) link { return link{roundTrip: trip} }
	for name, c := range map[string]struct {
		link  link
		bytes int64
		want  int
	}{
		"those of the options":                  {far, 1 << 30, 4},
		"no more than there are data":           {far, 2*pieceFar + 1, 3},
		"more to the other side of a continent": {at(210 * time.Millisecond), 1 << 30, 8},
		"all there may be by satellite":         {at(550 * time.Millisecond), 1 << 30, wire.MaxLanes},
		"without data":                          {far, 0, 1},
		"without BBR":                           {lossy, 1 << 30, wire.MaxLanes},
		"without BBR, few data":                 {lossy, pieceFar, 1},
	} {
		a := &attempt{s: &Sender{o: Options{Lanes: 4}}, link: c.link, t: transfer.Transfer{TotalBytes: c.bytes}}
		if got := a.lanesWanted(); got != c.want {
			t.Errorf("%s: %d lanes, want %d", name, got, c.want)
		}
		a.s.o.Policy = PolicyLow
		if got := a.lanesWanted(); got != min(c.want, 1) {
			t.Errorf("%s, with low: %d lanes", name, got)
		}
	}
}

func TestOneLaneAtLowRates(t *testing.T) {
	for kbit, want := range map[int64]int{0: wire.MaxLanes, 9_999: 1, 10_000: wire.MaxLanes} {
		var destination, server pace.Limiter
		a := &attempt{limiters: []*pace.Limiter{&destination, &server}}
		for _, l := range a.limiters {
			l.SetRate(kbit)
			if got := a.lanesAtRate(); got != want {
				t.Errorf("at %d kbit/s: %d lanes, want %d", kbit, got, want)
			}
			l.SetRate(0)
		}
	}
}

func TestUnknownOptionsAreRefused(t *testing.T) {
	o := Options{Engine: new(transfer.Engine), Identity: new(wire.Identity)}
	if s, err := New(o); err != nil || s.o.Congestion != CongestionAuto || s.o.Policy != PolicyFair || s.o.Lanes != defaultLanes {
		t.Errorf("the defaults: %v", err)
	}
	o.Policy = "rude"
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), `"rude"`) {
		t.Errorf("an unknown policy: %v", err)
	}
	o.Policy, o.Congestion = PolicyLow, "vegas"
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), `"vegas"`) {
		t.Errorf("an unknown congestion control: %v", err)
	}
}
