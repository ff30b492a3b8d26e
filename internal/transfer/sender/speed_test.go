package sender

import (
	"testing"
	"time"
)

// TestFastLinksGoWithoutCompression holds when a lane changes its mind.
func TestFastLinksGoWithoutCompression(t *testing.T) {
	const piece = 256 << 10
	for name, c := range map[string]struct {
		link   link
		pieces int
		each   time.Duration // for writing one
		want   bool
	}{
		"near, nothing sent":               {link{}, 0, 0, false},
		"near, fast":                       {link{}, 100, time.Millisecond, false},
		"near, slow":                       {link{}, 10, 80 * time.Millisecond, true},
		"far, nothing sent":                {link{roundTrip: near}, 0, 0, true},
		"far, taken in by the send buffer": {link{roundTrip: near}, 16, 0, true},
		"far, fast":                        {link{roundTrip: near}, 100, time.Millisecond, false},
	} {
		a := &attempt{link: c.link}
		s := a.newShrink()
		for range c.pieces {
			s.wrote(piece, c.each)
		}
		if got := s.slow(4); got != c.want {
			t.Errorf("%s: the link is slow: %v, want %v (%.0f bytes a second)", name, got, c.want, s.wire.rate())
		}
	}
}
