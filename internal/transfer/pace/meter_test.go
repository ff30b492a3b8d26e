package pace

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMeterShowsTheRateOfTheLastSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		if r := m.Rate(); r != 0 {
			t.Fatalf("an unused meter shows %v", r)
		}
		for range 100 { // 10 s of 1 MB/s
			m.Add(100_000)
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // the bubble's clock
		}
		if r := m.Rate(); r < 7600 || r > 8400 {
			t.Errorf("at 1 MB/s the meter shows %v kbit/s, want about 8000", r)
		}
		time.Sleep(window*time.Second + time.Second) //nolint:forbidigo // the bubble's clock
		if r := m.Rate(); r != 0 {
			t.Errorf("after a long silence it shows %v, want 0", r)
		}
	})
}
