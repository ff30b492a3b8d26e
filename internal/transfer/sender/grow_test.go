package sender

import (
	"testing"
	"time"
)

func TestLanesAreAddedWhileWindowsHoldThemUp(t *testing.T) {
	for name, c := range map[string]struct {
		held float64                 // share of the time
		rate func(lanes int) int64   // bytes a second
		busy func(lanes int) float64 // seconds a second
		want int                     // lanes in the end, of 4 at first
	}{
		"each lane brings its share": {0.5, func(n int) int64 { return int64(n) * 5e6 }, nil, 16},
		"the link is full with six":  {0.5, func(n int) int64 { return min(int64(n)*5e6, 30e6) }, nil, 7},
		"losses hold them up":        {0.05, func(n int) int64 { return int64(n) * 5e6 }, nil, 4},
		"there is little to send":    {0.5, func(n int) int64 { return int64(n) * 5e6 }, func(n int) float64 { return 0.4 * float64(n) }, 4},
	} {
		var g growth
		var w work
		lanes := 4
		for range 30 {
			busy := float64(lanes)
			if c.busy != nil {
				busy = c.busy(lanes)
			}
			second := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
			w = w.plus(work{c.rate(lanes), second(busy), second(busy * c.held)})
			if g.more(w, lanes, lanes < 16) {
				lanes++
			}
		}
		if lanes != c.want {
			t.Errorf("%s: %d lanes, want %d", name, lanes, c.want)
		}
	}
}
